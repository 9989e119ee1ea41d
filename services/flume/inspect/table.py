"""The table on the screen, and the bar while a long file is read. The only module of ``flume inspect`` with rich."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import rich.box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from flume.inspect.measure_names import MEASURES
from flume.inspect.values import Inspection, Stream, ThresholdResult

_MISSING = "–"
_PIPE_COLUMNS = 120
_SHOWN_FINDINGS = 10
_COLUMNS = {
    "datagrams": ("data-\ngrams", 0),
    "rate_kbit": ("rate\nkbit/s", 0),
    "loss_pct": ("loss\n%", 3),
    "reordered": ("late\n", 0),
    "duplicates": ("twice\n", 0),
    "jitter_ms": ("jitter\nms", 2),
    "delay_factor_ms": ("DF\nms", 1),
    "longest_silence_ms": ("still\nms", 1),
    "ts_packets": ("TS\npackets", 0),
    "priority_1": ("errors\nP1", 0),
    "priority_2": ("\nP2", 0),
}
"""Measure to heading and decimal places."""


def show(inspection: Inspection) -> None:
    """Print *inspection* on standard output, as wide as the terminal."""
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_COLUMNS)
    console.print(Text(_head(inspection)), soft_wrap=True)
    for stream in inspection.streams:
        console.print(Text(f"  {stream.number}: {_name(stream)}"), soft_wrap=True)
    if inspection.streams:
        console.print(_table(inspection.streams))
    for stream in inspection.streams:
        for line in _details(stream):
            console.print(Text(line), soft_wrap=True)
    for result in inspection.thresholds:
        style = "bold red" if result.passed_by else ""
        console.print(Text(_threshold(result), style=style), soft_wrap=True)


def _head(inspection: Inspection) -> str:
    others = ", ".join(f"{count} {kind}" for kind, count in inspection.others.items())
    beside = f"; beside them {others}" if others else ""
    began = f", from {inspection.started}" if inspection.started else ""
    counted = f"{inspection.packets} packets in {inspection.duration_s:.3f} s{began}"
    return f"{inspection.input}: {inspection.kind}, {counted}; streams: {len(inspection.streams)}{beside}"


def _table(streams: list[Stream]) -> Table:
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right")
    used = [name for name in _COLUMNS if any(MEASURES[name].value(stream) is not None for stream in streams)]
    for name in used:
        table.add_column(_COLUMNS[name][0], justify="right")
    for stream in streams:
        cells = (_number(MEASURES[name].value(stream), _COLUMNS[name][1]) for name in used)
        table.add_row(str(stream.number), *cells)
    return table


def _name(stream: Stream) -> str:
    if stream.source is None:
        return f"file, packets of {stream.packet_bytes} bytes"
    rtp = "" if stream.ssrc is None else f" {stream.ssrc} type {stream.payload_type}"
    return f"{stream.transport}{rtp}, {stream.source} → {stream.destination}"


def _number(value: float | None, places: int) -> str:
    return _MISSING if value is None else f"{value:.{places}f}"


def _details(stream: Stream) -> Iterator[str]:
    """Yield what a table has no room for: PIDs, and the first findings, each with its packet."""
    if stream.ts is not None:
        for pid in stream.ts.pids:
            rate = "" if pid.rate_kbit is None else f", {pid.rate_kbit:.0f} kbit/s"
            yield f"  {stream.number}: PID {pid.pid:#06x} {pid.kind}, {pid.packets} packets{rate}"
        for indicator, reason in stream.ts.not_examined.items():
            yield f"  {stream.number}: not examined: {indicator}, {reason}"
    wire = [] if stream.rtp is None else stream.rtp.findings
    for one in wire[:_SHOWN_FINDINGS]:
        yield f"  {stream.number}: {one.kind} at packet {one.packet}, {one.time_s:.3f} s: {one.detail}"
    found = [] if stream.ts is None else stream.ts.findings
    for each in found[:_SHOWN_FINDINGS]:
        where = f"TS packet {each.packet}" + ("" if each.pid is None else f", PID {each.pid:#06x}")
        yield f"  {stream.number}: {each.indicator} {each.name} at {where}: {each.detail}"
    more = max(0, len(wire) - _SHOWN_FINDINGS) + max(0, len(found) - _SHOWN_FINDINGS)
    if more:
        yield f"  {stream.number}: {more} more findings: --json has them"


def _threshold(result: ThresholdResult) -> str:
    if not result.judged:
        return f"{result.threshold}: no stream has this measure"
    if not result.passed_by:
        return f"{result.threshold}: not passed, {result.judged} streams"
    values = ", ".join(f"stream {number} has {value:g}" for number, value in result.passed_by.items())
    return f"{result.threshold}: passed: {values}"


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, at a terminal alone; yield what moves it: bytes read, and of how many."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def live_line(text: str) -> Iterator[Callable[[int, float], None]]:
    """Show on standard error, at a terminal alone, what has come; yield what renews it: datagrams, seconds."""
    if not sys.stderr.isatty():
        yield lambda _datagrams, _seconds: None
        return
    console = Console(stderr=True)
    last_s = -1.0

    def renew(datagrams: int, seconds: float) -> None:
        nonlocal last_s
        if seconds - last_s >= 0.5:
            last_s = seconds
            status.update(Text(f"{text}: {datagrams} datagrams in {seconds:.0f} s; Ctrl-C stops"))

    with console.status(Text(text)) as status:
        yield renew
