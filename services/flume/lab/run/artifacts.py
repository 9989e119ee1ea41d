"""The folder with the evidence of a run: ``artifacts/<run>/``; ``artifacts/latest`` is a link to the newest."""

import contextlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from flume.errors import LabError


def new_run_name(now: datetime | None = None) -> str:
    """Return a name that sorts by time and is unique: ``20260131-143000-7f3a``."""
    return f"{(now or datetime.now(UTC)):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def create_run_directory(root: Path, run: str) -> Path:
    """Make the folder ``root/run`` and return it. Raises :class:`LabError` that names the path."""
    directory = root / run
    try:
        (directory / "captures").mkdir(parents=True)
        (directory / "logs").mkdir()
    except OSError as error:
        raise LabError(f"the artefacts cannot be written to {directory}: {error.strerror}") from error
    return directory


def remove_if_empty(directory: Path) -> None:
    """Remove the folders that :func:`create_run_directory` made if they contain no file; raises nothing."""
    for folder in (directory / "captures", directory / "logs", directory):
        with contextlib.suppress(OSError):
            folder.rmdir()


def point_latest_at(directory: Path) -> None:
    """Let ``latest`` beside *directory* point at it, in one step, so that the link is valid at any time.

    Raises :class:`LabError`.
    """
    link = directory.parent / "latest"
    scratch = directory.parent / f".latest-{secrets.token_hex(4)}"
    try:
        scratch.symlink_to(directory.name)
        os.replace(scratch, link)  # noqa: PTH105 - Path.replace follows the same call
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise LabError(f"{link} cannot point at {directory.name}: {error.strerror}") from error
