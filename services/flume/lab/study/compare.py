"""Compares two reports: what changed beyond noise, and whether for the worse. Pure.

A change counts where it is greater than the figure's tolerance: an absolute part and a share of the first run's value,
of which the greater counts. The defaults are what two runs of the same lab differ by at most, as a rule; each has its
reason in :data:`DEFAULTS`.

>>> parse_tolerance("join_ms=20%")
('join_ms', Tolerance(absolute=0.0, share_pct=20.0))
>>> parse_tolerance("loss_pct=0.5")
('loss_pct', Tolerance(absolute=0.5, share_pct=0.0))
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from flume.errors import SettingsError
from flume.lab.trial.figures import FIGURES, Figure
from flume.lab.trial.verdict import ClientReport, Report, Verdict

Change = Literal["same", "better", "worse", "not comparable", "vanished"]
"""``same``: within the tolerance. ``not comparable``: only the second run measured the figure. ``vanished``: only the
first one did, so nothing is known of the second."""


class Tolerance(NamedTuple):
    """How much a figure may differ without being a change: in its own unit, and as a share of the first value."""

    absolute: float = 0.0
    share_pct: float = 0.0

    def of(self, value: float) -> float:
        """Return the tolerance about *value*.

        >>> Tolerance(absolute=2, share_pct=10).of(50)
        5.0
        """
        return max(self.absolute, abs(value) * self.share_pct / 100)

    def __str__(self) -> str:
        """Return it as a person writes it, or both parts of a default."""
        parts = [f"{self.absolute:g}"] if self.absolute or not self.share_pct else []
        return " or ".join([*parts, *([f"{self.share_pct:g}%"] if self.share_pct else [])])


class Default(NamedTuple):
    """A default tolerance, and why it is as large as it is."""

    tolerance: Tolerance
    reason: str


_JND = "a third of a just noticeable difference, which is about 6 points (Ozer, 2017)"
DEFAULTS: Mapping[str, Default] = MappingProxyType(
    {
        "loss_pct": Default(
            Tolerance(0.5, 25),
            "at 1 % random loss of 6000 datagrams the difference of two runs has a standard deviation of 0.18 points",
        ),
        "longest_run": Default(Tolerance(3, 100), "the greatest of a random sample: it doubles from run to run"),
        "delay_p50_ms": Default(
            Tolerance(2, 10), "the server sends in ticks of 10 ms, and a median hides most of that"
        ),
        "delay_p95_ms": Default(Tolerance(5, 20), "a busy host delays single ticks by some milliseconds"),
        "jitter_ms": Default(Tolerance(2, 30), "RFC 3550 smooths over 16 datagrams only: it is a snapshot of the end"),
        "delay_factor_ms": Default(Tolerance(20, 30), "the greatest of its seconds: one late tick makes it"),
        "join_ms": Default(
            Tolerance(250, 20), "a quarter of a group of pictures of one second, and the player's start"
        ),
        "resume_ms": Default(Tolerance(250, 20), "as join_ms"),
        "missing_pct": Default(Tolerance(2, 20), "half a second of frames in 20 s: one hiccup of a busy host"),
        "freezes": Default(Tolerance(1, 25), "one hiccup of a busy host"),
        "longest_freeze_ms": Default(Tolerance(250, 25), "the greatest of few: a quarter of a group of pictures"),
        "frozen_pct": Default(Tolerance(1.5, 25), "one freeze of 300 ms in 20 s"),
        "glass_ms": Default(Tolerance(40, 10), "one frame's duration at 25 frames a second"),
        "stream_errors": Default(Tolerance(5, 30), "they follow the datagrams lost, which are random"),
        "undecodable_pct": Default(Tolerance(2, 25), "one damaged group of pictures more in 20 s is 5 %"),
        "vmaf": Default(Tolerance(2, 0), _JND),
        "vmaf_p5": Default(Tolerance(6, 0), "one just noticeable difference; a percentile varies more than a mean"),
        "ssim": Default(Tolerance(0.01, 0), "our choice: no threshold is published"),
        "psnr_db": Default(Tolerance(1, 0), "codec comparisons call 0.5 dB visible; this is twice that"),
        "xpsnr_db": Default(Tolerance(1, 0), "as psnr_db"),
    }
)
"""For each of :data:`~flume.lab.trial.figures.FIGURES`."""

_TOLERANCE = re.compile(r"\s*([a-z0-9_]+)\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_NONE_IS_WORSE = {"join_ms": "connect", "resume_ms": "continue"}
"""Figures whose absence is itself bad where the command was granted: no frame was shown."""


class Row(NamedTuple):
    """One figure of one client in both runs. *delta* is B minus A."""

    subject: str
    figure: str
    title: str
    unit: str
    digits: int
    a: float | None
    b: float | None
    delta: float | None
    tolerance: float
    change: Change


class VerdictRow(NamedTuple):
    """The verdicts of the run, or of one client."""

    subject: str
    a: Verdict
    b: Verdict
    change: Change


class Comparison(NamedTuple):
    """What two reports differ in."""

    verdicts: tuple[VerdictRow, ...]
    """Of the run, then of each client."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What differs in how the two were made: a reader should know it before the figures."""

    @property
    def worse(self) -> bool:
        """Whether anything is worse."""
        return any(one.change == "worse" for one in self.rows) or any(one.change == "worse" for one in self.verdicts)


def parse_tolerance(text: str) -> tuple[str, Tolerance]:
    """Return figure and tolerance in *text*: ``loss_pct=0.5``, in its unit, or ``join_ms=20%``, of the first run's.

    Raises :class:`SettingsError` for anything else, and for an unknown figure with those that are known.
    """
    match = _TOLERANCE.fullmatch(text)
    if match is None:
        raise SettingsError("tolerance", text[:80], "FIGURE=NUMBER or FIGURE=NUMBER%, such as loss_pct=0.5")
    key, amount, percent = match[1], float(match[2]), match[3]
    if key not in FIGURES:
        raise SettingsError("tolerance", text[:80], f"of one of {', '.join(FIGURES)}")
    return key, Tolerance(share_pct=amount) if percent else Tolerance(absolute=amount)


def tolerances(texts: Iterable[str]) -> dict[str, Tolerance]:
    """Return the tolerance of every figure: the defaults, replaced by those of *texts*.

    Two texts about one figure give its absolute part and its share. Raises what :func:`parse_tolerance` raises.
    """
    given: dict[str, Tolerance] = {}
    for key, one in map(parse_tolerance, texts):
        before = given.get(key, Tolerance())
        given[key] = Tolerance(one.absolute or before.absolute, one.share_pct or before.share_pct)
    return {key: default.tolerance for key, default in DEFAULTS.items()} | given


def compare(a: Report, b: Report, allowed: Mapping[str, Tolerance], *, strict: bool = False) -> Comparison:
    """Return what changed from *a* to *b* beyond *allowed*, client by client.

    *strict*: a figure that only *a* measured is worse, and not only ``vanished``.

    Raises :class:`SettingsError` where the two have not the same clients: then they are not two runs of one thing.
    """
    names = [client.name for client in a.clients]
    others = {client.name: client for client in b.clients}
    if sorted(names) != sorted(others):
        raise SettingsError(
            "RUN_B", b.run, f"a run of the same clients as {a.run} ({', '.join(names)}); it has {', '.join(others)}"
        )
    pairs = [(client, others[client.name]) for client in a.clients]
    verdicts = [("run", a.verdict, b.verdict), *((one.name, one.verdict, other.verdict) for one, other in pairs)]
    return Comparison(
        tuple(VerdictRow(name, first, second, _verdict_change(first, second)) for name, first, second in verdicts),
        tuple(row for one, other in pairs for row in _rows(one, other, allowed, strict=strict)),
        tuple(_notes(a, b)),
    )


def _verdict_change(a: Verdict, b: Verdict) -> Change:
    order = list(Verdict)
    if a == b:
        return "same"
    return "worse" if order.index(b) > order.index(a) else "better"


def _rows(a: ClientReport, b: ClientReport, allowed: Mapping[str, Tolerance], *, strict: bool) -> Iterator[Row]:
    for key, figure in FIGURES.items():
        first, second = figure.read(a), figure.read(b)
        if first is None and second is None:
            continue
        delta = None if first is None or second is None else second - first
        within = allowed[key].of(first or 0.0)
        if first is None or second is None:
            change = _absent(key, a if first is None else b, vanished=second is None, strict=strict)
        else:
            change = _change(figure, first, second, within)
        yield Row(a.name, key, figure.title, figure.unit, figure.digits, first, second, delta, within, change)


def _absent(key: str, client: ClientReport, *, vanished: bool, strict: bool) -> Change:
    """Return what it means that the run of *client* did not measure the figure *key*, and the other run did."""
    no_frame = key in _NONE_IS_WORSE and any(
        command.command == _NONE_IS_WORSE[key] and command.answer == "ok" for command in client.commands
    )
    if vanished:
        return "worse" if no_frame or strict else "vanished"
    return "better" if no_frame else "not comparable"


def _change(figure: Figure, a: float, b: float, within: float) -> Change:
    delta = b - a
    # A tolerance of 20 % of 500 is 100, and a change by exactly that is none, whatever the last bits are.
    if abs(delta) <= within or math.isclose(abs(delta), within, rel_tol=1e-9):
        return "same"
    return "worse" if (delta > 0) == (figure.worse == "higher") else "better"


def _notes(a: Report, b: Report) -> Iterator[str]:
    for what, first, second in (
        ("network", a.network and a.network.profile, b.network and b.network.profile),
        *((key, a.scenario.get(key), b.scenario.get(key)) for key in sorted({*a.scenario, *b.scenario})),
        ("engine", a.engine.get("version"), b.engine.get("version")),
        ("kernel", a.engine.get("kernel"), b.engine.get("kernel")),
    ):
        if first != second and what != "description":
            yield f"{what}: {_said(first)} in A, {_said(second)} in B"


def _said(value: object) -> str:
    return "none" if value is None else str(value)
