"""Draws the samples of all slices: memory, threads, descriptors, and the stream against the clock."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from soak.measures import Sample
from soak.report import QUANTITIES, Report, title
from soak.slices import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 500
"""In one plot, for all slices: more cannot be told apart. Each is the median of the samples around it."""

_BLUE, _GREY = "#0b5fa5", "#888888"


def thinned(samples: Sequence[Sample], name: str, most: int) -> tuple[list[float], list[float]]:
    """Return times in seconds and values of *name*, at most *most* medians of neighbours, first to last.

    >>> from soak.measures import Sample
    >>> blank = {"memory_mib": 0, "descriptors": 0}
    >>> thinned([Sample(time_s=float(n), threads=n, **blank) for n in range(6)], "threads", 2)
    ([1.0, 4.0], [1, 4])
    """
    known = [(one.time_s, getattr(one, name)) for one in samples if getattr(one, name) is not None]
    size = -(-len(known) // most) or 1
    groups = [known[at : at + size] for at in range(0, len(known), size)]
    return [median(time for time, _ in group) for group in groups], [
        median(value for _, value in group) for group in groups
    ]


def draw(made: Report, slices: Sequence[Slice], path: Path) -> None:
    """Draw *slices* one after the other into the SVG file *path*; a line is at the start of each."""
    import matplotlib as mpl  # imported here: it takes half a second, and only the end of a soak needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "soak", "font.size": 9, "font.family": "sans-serif"}):
        figure, axes = plt.subplots(len(QUANTITIES), 1, figsize=(8, 8), sharex=True, layout="constrained")
        for axis, name in zip(axes, QUANTITIES, strict=True):
            _panel(axis, slices, name)
            axis.set_title(title(made, name), loc="left", fontsize=9)
        axes[-1].set_xlabel("hours of load; a vertical line: a slice with a server of its own begins")
        _name_starts(axes[0], slices)
        figure.suptitle(f"{made.clients} clients, {made.counts.get('commands', 0):,} commands", fontsize=10)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axis: "Axes", slices: Sequence[Slice], name: str) -> None:
    began_s, whole_s = 0.0, sum(one.seconds for one in slices) or 1.0
    for one in slices:
        times_s, values = thinned(one.samples, name, max(10, round(MOST_POINTS * one.seconds / whole_s)))
        if name == "ahead_ms" and values:  # its origin is any: each slice begins at 0
            values = [value - median(values) for value in values]
        axis.plot([(began_s + time_s) / 3600 for time_s in times_s], values, color=_BLUE, linewidth=1.0)
        axis.axvline(began_s / 3600, color=_GREY, linewidth=0.8)
        began_s += one.seconds
    if name != "ahead_ms":
        axis.set_ylim(bottom=0)
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _name_starts(axis: "Axes", slices: Sequence[Slice]) -> None:
    began_s = 0.0
    for one in slices:
        axis.annotate(
            one.start.began[:16].replace("T", " "),
            xy=(began_s / 3600, 0),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7,
            color=_GREY,
        )
        began_s += one.seconds
