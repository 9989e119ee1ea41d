"""A study as its file describes it: networks, settings and repeats, and the runs that follow from that. Pure.

``study.toml``::

    description = "what loss does, alone and in bursts"
    clients = 3
    repeats = 2
    scenario = "study"          # a name in compose/scenarios, or the path of a file
    duration_s = 15             # replaces the scenario's own
    pictures = true             # compare the pictures with those sent: VMAF and others
    profiles = ["clean", "lossy-1", "bursty-1"]

    [settings]                  # each a list; a study has a cell for each combination
    transport = ["udp"]         # udp, tcp
    reorder_ms = [60]           # how long our client waits for a late datagram
    bitrate_kbit = [4000]       # of the test card's picture
    gop_s = [1]                 # from one keyframe to the next

The runs go through all cells once, then once more: a computer that grows slower in between does so for every cell.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flume.errors import SettingsError
from flume.lab.run.programs import TRANSPORTS
from flume.lab.strict import FileValue, decode
from flume.settings import check

MAX_CELLS, MAX_RUNS = 200, 1000
MAX_CLIENTS = 20
"""More would measure the computer, and not the network."""


class Settings(FileValue, frozen=True, kw_only=True):
    """The axes of a study beside the network; each value of an axis is combined with those of the others."""

    transport: tuple[str, ...] = ("udp",)
    reorder_ms: tuple[float, ...] = (60.0,)
    bitrate_kbit: tuple[int, ...] = (4000,)
    gop_s: tuple[float, ...] = (1.0,)


class Study(FileValue, frozen=True, kw_only=True):
    """A study; *name* is that of its file. Raises :class:`SettingsError` for a value that is out of range."""

    description: str
    clients: int
    repeats: int
    profiles: tuple[str, ...]
    scenario: str = "study"
    duration_s: float | None = None
    """None: the scenario's own."""
    settings: Settings = Settings()
    pictures: bool = True
    """Whether the pictures of each run are compared with those sent, which takes about as long as the run."""
    seed: int = 1
    """Of the bootstrap: the same runs give the same intervals."""
    name: str = ""

    def __post_init__(self) -> None:
        """Check every range, and that the matrix has a size that ends."""
        check(1 <= self.clients <= MAX_CLIENTS, "clients", self.clients, f"1 to {MAX_CLIENTS}")
        check(1 <= self.repeats <= 100, "repeats", self.repeats, "1 to 100")
        ends = self.duration_s is None or 1 <= self.duration_s <= 3600
        check(ends, "duration_s", self.duration_s, "1 to 3600 seconds")
        axes = {"profiles": self.profiles, **{f"settings.{key}": values for key, values in self.axes.items()}}
        for key, values in axes.items():
            check(bool(values), key, list(values), "at least one value")
            twice = sorted({str(value) for value in values if list(values).count(value) > 1})
            check(not twice, key, ", ".join(twice), "each value once")
        for key, values, low, high in (
            ("settings.reorder_ms", self.settings.reorder_ms, 0, 5000),
            ("settings.bitrate_kbit", self.settings.bitrate_kbit, 500, 50_000),
            ("settings.gop_s", self.settings.gop_s, 0.2, 20),
        ):
            for value in values:
                check(low <= value <= high, key, value, f"{low:g} to {high:g}")
        for one in self.settings.transport:
            check(one in TRANSPORTS, "settings.transport", one, f"one of {', '.join(TRANSPORTS)}")
        cells = len(self.profiles)
        for values in self.axes.values():
            cells *= len(values)
        check(cells <= MAX_CELLS, "profiles", f"{cells} cells", f"at most {MAX_CELLS} cells in all")
        check(cells * self.repeats <= MAX_RUNS, "repeats", self.repeats, f"at most {MAX_RUNS} runs in all")

    @property
    def axes(self) -> dict[str, Sequence[object]]:
        """The settings by their names."""
        return {key: getattr(self.settings, key) for key in Settings.__struct_fields__}


class Cell(NamedTuple):
    """One combination: a network, and the settings of server and clients."""

    profile: str
    transport: str
    reorder_ms: float
    bitrate_kbit: int
    gop_s: float

    @property
    def key(self) -> str:
        """A name that is unique in a study, fit for a folder.

        >>> Cell("./home.toml", "udp", 60, 4000, 1.0).key
        'home-udp-reorder60-4000k-gop1'
        """
        profile = re.sub(r"[^A-Za-z0-9._-]", "-", self.profile.rpartition("/")[2].removesuffix(".toml"))
        return f"{profile}-{self.transport}-reorder{self.reorder_ms:g}-{self.bitrate_kbit}k-gop{self.gop_s:g}"


class PlannedRun(NamedTuple):
    """One run of a cell; *repeat* counts from 1."""

    cell: Cell
    repeat: int


def load_study(text: str, *, name: str) -> Study:
    """Return the study in *text*, the content of the file *name*.

    Raises :class:`SettingsError` with the line, for a misspelt key as well.

    >>> load_study("clients = 3\\nrepeat = 2", name="mine")
    Traceback (most recent call last):
    flume.errors.SettingsError: study='mine' is not possible: line 2: Object contains unknown field `repeat`
    """
    study = decode(text, Study, key="study", file=name, name=name)
    keys = [cell.key for cell in cells(study)]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise SettingsError("study", name, f"two cells have the name {twice[0]}: give one of the profiles another name")
    return study


def cells(study: Study) -> tuple[Cell, ...]:
    """Return the cells, the settings of one network beside each other.

    >>> study = Study(description="", clients=1, repeats=1, profiles=("clean", "lan"))
    >>> [cell.profile for cell in cells(study)]
    ['clean', 'lan']
    """
    s = study.settings
    product = itertools.product(study.profiles, s.transport, s.reorder_ms, s.bitrate_kbit, s.gop_s)
    return tuple(Cell(*values) for values in product)


def runs(study: Study) -> Iterator[PlannedRun]:
    """Yield all runs in their order: each cell once, then each cell again."""
    for repeat in range(1, study.repeats + 1):
        for cell in cells(study):
            yield PlannedRun(cell, repeat)


def title(study: Study, cell: Cell) -> str:
    """Return what distinguishes *cell* in its study: the network, and the settings that have several values.

    >>> study = Study(description="", clients=1, repeats=1, profiles=("lan",), settings=Settings(gop_s=(1, 4)))
    >>> title(study, cells(study)[1])
    'lan, gop 4 s'
    """
    words = {
        "transport": cell.transport,
        "reorder_ms": f"reorder {cell.reorder_ms:g} ms",
        "bitrate_kbit": f"{cell.bitrate_kbit} kbit/s",
        "gop_s": f"gop {cell.gop_s:g} s",
    }
    several = (words[key] for key, values in study.axes.items() if len(values) > 1)
    return ", ".join((cell.profile, *several))


def command(study: Study, cell: Cell) -> str:
    """Return the command that repeats one run of *cell*."""
    duration = "" if study.duration_s is None else f" --duration {study.duration_s:g}"
    return (
        f".venv/bin/flume lab run --clients {study.clients} --scenario {study.scenario}{duration} "
        f"--profile {cell.profile} --transport {cell.transport} --reorder {cell.reorder_ms:g} "
        f"--bit-rate {cell.bitrate_kbit} --gop {cell.gop_s:g}"
    )


def differences(before: Study, after: Study) -> list[str]:
    """Return in words what differs between two studies, for a person who wants to go on with the first.

    >>> one = Study(description="", clients=1, repeats=1, profiles=("lan",))
    >>> from msgspec.structs import replace
    >>> differences(one, replace(one, profiles=("lan", "geo"), repeats=2))
    ['repeats: 1, now 2', 'profiles: added geo']
    """
    found = []
    for key, old, new in _pairs(before, after):
        if old == new:
            continue
        if isinstance(old, tuple) and isinstance(new, tuple):
            added = [str(value) for value in new if value not in old]
            removed = [str(value) for value in old if value not in new]
            words = [f"added {', '.join(added)}"] * bool(added) + [f"removed {', '.join(removed)}"] * bool(removed)
            found.append(f"{key}: {' and '.join(words) or 'in another order'}")
        else:
            found.append(f"{key}: {old}, now {new}")
    return found


def _pairs(before: Study, after: Study) -> Iterator[tuple[str, object, object]]:
    for key in ("clients", "repeats", "profiles", "scenario", "duration_s", "pictures", "seed"):
        yield key, getattr(before, key), getattr(after, key)
    for key in Settings.__struct_fields__:
        yield f"settings.{key}", getattr(before.settings, key), getattr(after.settings, key)
