"""The time line of one client as SVG geometry: windows, datagrams, commands on one axis. Pure arithmetic."""

from typing import NamedTuple

from flume.lab.trial.verdict import ClientReport

WIDTH = 1000
TOP = 40
"""Room above the bars for two rows of command names."""
BARS = 56
HEIGHT = TOP + BARS
MOST_COLUMNS = 500
"""Columns drawn: two units each, what a screen can show."""
_CHARACTER = 6.4
"""Average width of a character of the labels, in drawing units."""
_ROWS = 3
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 12


class Bar(NamedTuple):
    """A rectangle from the left edge *x*."""

    x: float
    width: float


class Label(NamedTuple):
    """A command: where its mark is, and where its name does not overlap another name."""

    x: float
    text_x: float
    row: int
    text: str
    anchor: str
    refused: bool


class Tick(NamedTuple):
    """A mark on the axis."""

    x: float
    text: str


class Drawing(NamedTuple):
    """Everything that the template needs to draw one client, in drawing units."""

    windows: list[Bar]
    sent: str
    """SVG path of the datagrams in each column, one bar a column."""
    leaked: str
    """SVG path of the leaked datagrams, at the same scale."""
    peak_per_s: float
    labels: list[Label]
    ticks: list[Tick]


def _columns(bins: list[int]) -> list[int]:
    group = -(-len(bins) // MOST_COLUMNS) or 1
    return [sum(bins[start : start + group]) for start in range(0, len(bins), group)]


def _path(columns: list[int], peak: int) -> str:
    """Return a path of vertical bars, none where the column is empty."""
    width = WIDTH / max(1, len(columns))
    parts = []
    for position, count in enumerate(columns):
        if count:
            height = max(1.0, BARS * count / peak)
            parts.append(f"M{position * width:.1f} {HEIGHT}v{-height:.1f}h{max(0.6, width * 0.9):.2f}v{height:.1f}z")
    return "".join(parts)


def ticks(duration_s: float) -> list[Tick]:
    """Return marks at round times: at most 13 for up to twelve hours, and one an hour for more."""
    step_s = next((step for step in _STEPS_S if duration_s / step <= _MOST_TICKS), _STEPS_S[-1])
    count = int(duration_s / step_s + 1e-9)
    return [Tick(round(n * step_s / max(duration_s, 1e-9) * WIDTH, 1), f"{n * step_s:g}") for n in range(count + 1)]


def _labels(client: ClientReport, duration_s: float) -> list[Label]:
    ends = [0.0] * _ROWS
    labels = []
    for command in client.commands:
        if command.command == "status":
            continue
        x = min(WIDTH, max(0.0, command.time_s / max(duration_s, 1e-9) * WIDTH))
        refused = command.answer != "ok"
        text = f"{command.command} ✗" if refused else command.command
        width = len(text) * _CHARACTER
        anchor, left = ("start", x) if x + width <= WIDTH else ("end", x - width)
        row = next((row for row in range(_ROWS) if ends[row] <= left), _ROWS - 1)
        ends[row] = left + width + 4
        labels.append(Label(round(x, 1), round(x, 1), row, text, anchor, refused))
    return labels


def draw(client: ClientReport, duration_s: float) -> Drawing:
    """Return the drawing of *client* over *duration_s*."""
    scale = WIDTH / max(duration_s, 1e-9)
    sent, leaked = _columns(client.timeline.sent), _columns(client.timeline.leaked)
    peak = max(sent, default=0)
    column_s = client.timeline.bin_s * -(-len(client.timeline.sent) // max(1, len(sent)))
    return Drawing(
        windows=[
            Bar(round(opened_s * scale, 1), round(max(0.5, (closed_s - opened_s) * scale), 1))
            for opened_s, closed_s in client.active_windows
        ],
        sent=_path(sent, max(1, peak)),
        leaked=_path(leaked, max(1, peak)),
        peak_per_s=peak / column_s if column_s else 0.0,
        labels=_labels(client, duration_s),
        ticks=ticks(duration_s),
    )
