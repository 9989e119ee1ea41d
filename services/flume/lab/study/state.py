"""What a study has done so far: one JSON file, replaced whole after each run, so that it is never half-written."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from flume.errors import LabError, SettingsError
from flume.lab.study.matrix import PlannedRun, Study, differences
from flume.untrusted_json import decode_untrusted

STATE_NAME = "state.json"
STATE_VERSION = 1


class DoneRun(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a run of a cell."""

    cell: str
    """The cell's key."""
    repeat: int
    attempt: int
    """1, or 2 where the first attempt was repeated."""
    run: str
    """The name of its folder, below that of the cell; empty where the lab could not be started."""
    verdict: str
    seconds: float
    """How long it took."""
    trouble: str = ""
    """Why it does not count: its link was out of tolerance, its evidence cannot be trusted. Empty: it counts."""

    @property
    def counts(self) -> bool:
        """Whether its figures are part of the intervals."""
        return not self.trouble


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    study: Study
    inputs: dict[str, str]
    """Name of each file that the study rests on, such as ``profile lossy-1`` → digest of its content."""
    done: tuple[DoneRun, ...] = ()
    interrupted: bool = False
    version: int = STATE_VERSION

    def attempts(self, planned: PlannedRun) -> list[DoneRun]:
        """Return the attempts at *planned*, in their order."""
        return [one for one in self.done if (one.cell, one.repeat) == (planned.cell.key, planned.repeat)]

    def is_done(self, planned: PlannedRun) -> bool:
        """Whether no further attempt at *planned* is due: one counts, or the second one failed too."""
        attempts = self.attempts(planned)
        return any(one.counts for one in attempts) or len(attempts) >= MOST_ATTEMPTS


MOST_ATTEMPTS = 2
"""A run whose link was out of tolerance is repeated once: a busy computer is a passing cause."""


def save(state: State, folder: Path) -> None:
    """Write *state* into *folder*, in one step: a reader finds the old file or the new one, after a power failure too.

    Raises :class:`LabError`.
    """
    path, scratch = folder / STATE_NAME, folder / f".{STATE_NAME}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state), indent=1))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise LabError(f"{path} cannot be written: {error.strerror}; make room or choose another folder") from error


def load(folder: Path) -> State | None:
    """Return the state in *folder*; None where there is none. Raises :class:`LabError` for a file that is none."""
    path = folder / STATE_NAME
    try:
        state = decode_untrusted(path.read_bytes(), State)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, SettingsError) as error:
        raise LabError(f"{path} is not the state of a study of this version: {error}") from error
    if state.version != STATE_VERSION:
        raise LabError(
            f"{path} has version {state.version}, and this flumelab reads {STATE_VERSION}: begin a new study"
        )
    return state


def check_same(state: State, study: Study, inputs: Mapping[str, str], *, name: str) -> None:
    """Raise :class:`SettingsError` that says what has changed where *state* is not of this *study* with these *inputs*.

    Runs of two different things in one cell would be worth nothing.
    """
    changed = differences(state.study, study)
    for key in sorted({*state.inputs, *inputs}):
        if key in state.inputs and key in inputs and state.inputs[key] != inputs[key]:
            changed.append(f"{key}: another content")
    if changed:
        raise SettingsError(
            "resume", name, f"it was begun with another matrix ({'; '.join(changed)}): give this one another name"
        )
