"""Draws the plots as SVG and PNG: one line for each sender, with its name at the end."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bench.report import Report
    from bench.summary import Row

COMPARED_CLIENTS = 100
WHOLE_SHARE = plan.ENOUGH_SHARE
"""Points with a smaller delivered share are hollow: their cost a datagram is that of a stream with gaps."""

_COLOURS = {
    "flume": "#0b5fa5",
    "flume+vlc": "#5aa9e6",
    "flume-loop": "#1f9e9e",
    "limit": "#555555",
    "multiudpsink": "#d1495b",
    "ffmpeg": "#3a7d44",
    "vlc": "#e08e0b",
    "asyncio": "#8f5aa8",
    "naive": "#8c564b",
    "naive-pinned": "#c49c94",
}
_DPI = 150


class _Point(NamedTuple):
    x: float
    y: float
    whole: bool


def draw(report: "Report", folder: Path) -> list[Path]:
    """Draw the plots that have at least one line into *folder*; return the files."""
    drawn: list[Path] = []
    rate = plan.COST_RATE
    panels = [
        (f"{rate} Mbit/s, on the wire, with offload", _rows(report, path="wire", rate=rate)),
        (f"{rate} Mbit/s, on the wire, without", _rows(report, path="wire", rate=rate, offload=False)),
        (f"{rate} Mbit/s, into sockets", _rows(report, path="sockets", rate=rate)),
    ]
    by_clients = [(title, rows, "clients") for title, rows in panels]
    drawn += _figure(folder / "cost-by-clients", by_clients, _clients_of, _cost_of, "CPU a delivered datagram, µs")
    drawn += _figure(folder / "cores-by-clients", by_clients, _clients_of, _cores_of, "cores in use")
    compared = [row for row in _rows(report, path="wire") if row.cell.clients == COMPARED_CLIENTS]
    by_rate = [(f"{COMPARED_CLIENTS} clients, on the wire, with offload", compared, "Mbit/s")]
    drawn += _figure(folder / "cost-by-rate", by_rate, _rate_of, _cost_of, "CPU a delivered datagram, µs")
    return drawn


def _rows(report: "Report", *, path: str, rate: int | None = None, offload: bool = True) -> "list[Row]":
    # A single client is a sample and is reached in the same way on every network.
    return [
        row
        for row in report.rows
        if row.repeats
        and not row.cell.dead
        and row.cell.tick_ms == (report.options.tick_ms or plan.TICK_MS)
        and ((row.cell.path == path and row.cell.offload == offload) or row.cell.clients == 1)
        and rate in {None, row.cell.rate_mbit}
    ]


def _clients_of(row: "Row") -> float:
    return row.cell.clients


def _rate_of(row: "Row") -> float:
    return row.cell.rate_mbit


def _cost_of(row: "Row") -> float | None:
    return row.cpu_us_per_datagram.median if row.cpu_us_per_datagram else None


def _cores_of(row: "Row") -> float | None:
    return row.cores.median if row.cores else None


def lines(
    rows: "Sequence[Row]", x_of: "Callable[[Row], float]", y_of: "Callable[[Row], float | None]"
) -> dict[str, list[_Point]]:
    """Return the points of each sender from left to right; a sender with points at a single x only is left out."""
    found: dict[str, list[_Point]] = {}
    for row in rows:
        y = y_of(row)
        if y is not None:
            whole = row.share is None or row.share.median >= WHOLE_SHARE
            found.setdefault(row.cell.sender, []).append(_Point(x_of(row), y, whole))
    return {sender: sorted(points) for sender, points in found.items() if len({point.x for point in points}) > 1}


def _figure(
    path: Path,
    panels: "list[tuple[str, list[Row], str]]",
    x_of: "Callable[[Row], float]",
    y_of: "Callable[[Row], float | None]",
    y_label: str,
) -> list[Path]:
    shown = [(title, lines(rows, x_of, y_of), x_label) for title, rows, x_label in panels]
    shown = [panel for panel in shown if panel[1]]
    if not shown:
        return []
    import matplotlib as mpl  # imported here: it takes half a second, and only a run with lines needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(shown), figsize=(7.2 * len(shown), 5), squeeze=False, sharey=True)
    for axis, (title, found, x_label) in zip(axes[0], shown, strict=True):
        _panel(axis, title, found, x_label)
    axes[0][0].set_ylabel(y_label)
    figure.text(0.01, 0.01, "median of the repeats; hollow: delivered less than 95 %", fontsize=8, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    files = [path.with_suffix(".svg"), path.with_suffix(".png")]
    for file in files:
        figure.savefig(file, dpi=_DPI)
    plt.close(figure)
    return files


def _panel(axis: "Axes", title: str, found: dict[str, list[_Point]], x_label: str) -> None:
    for sender, points in found.items():
        colour = _COLOURS.get(sender, "#000000")
        width = 2.4 if sender == plan.FLUME else 1.4
        axis.plot([p.x for p in points], [p.y for p in points], color=colour, linewidth=width, zorder=2)
        for point in points:
            face = colour if point.whole else "white"
            axis.plot(point.x, point.y, "o", color=colour, markerfacecolor=face, markersize=5, zorder=3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = sorted({point.x for points in found.values() for point in points})
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.set_xlabel(x_label)
    axis.set_title(title, loc="left", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    _label_ends(axis, found)


def _label_ends(axis: "Axes", found: dict[str, list[_Point]]) -> None:
    """Write each sender's name to the right of the panel, near the height of its last point and without overlaps."""
    low, high = axis.get_ylim()
    right = max(point.x for points in found.values() for point in points)
    names = sorted(found, key=lambda sender: found[sender][-1].y)
    heights = spread_out([_height(found[sender][-1].y, low, high) for sender in names], least=0.052)
    for sender, height in zip(names, heights, strict=True):
        last = found[sender][-1]
        axis.annotate(
            sender,
            xy=(last.x, last.y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=_COLOURS.get(sender, "#000000"),
            fontweight="bold" if sender == plan.FLUME else "normal",
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
        )
    axis.set_xlim(right=right * 1.1)


def _height(value: float, low: float, high: float) -> float:
    """Return the position of *value* on a logarithmic axis from *low* to *high*, as 0 to 1."""
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


def spread_out(heights: Sequence[float], *, least: float) -> list[float]:
    """Return ascending *heights* moved apart to at least *least* between neighbours, each as little as possible.

    Isotonic regression, by pooling adjacent violators: heights minus the room below them (index times *least*) may be
    equal but must not fall.

    >>> [round(height, 2) for height in spread_out([0.5, 0.5], least=0.1)]
    [0.45, 0.55]
    """
    pools: list[tuple[float, int]] = []
    for index, height in enumerate(heights):
        mean, size = height - index * least, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    return [mean + index * least for index, mean in enumerate(flat)]
