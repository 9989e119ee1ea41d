"""Writes a run as a file for programs and as tables for people."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

import msgspec
from rich.console import Console
from rich.table import Table

from bench import plan
from bench.analysis import Spread
from bench.answers import Answers
from bench.idle import Idle
from bench.machine import Machine
from bench.plan import Options
from bench.run import Climb, Run
from bench.steering import Steering
from bench.summary import Criterion, Row, criteria, noise, text_of
from bench.values import Measured, Skipped

NARROWEST = 120
"""Width of the lines if the output is no terminal: folded tables are hard to read."""

_COLOURS = {"met": "green", "not met": "red", "not measured": "yellow"}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``bench.json``: every measurement, and the rows, verdicts and ladders computed from them."""

    version: int = 2
    """2: ``outcome.foreign_cores`` is called ``other_load_cores``."""
    started: str
    complete: bool
    """``False``: the run was interrupted, and these are the figures up to then."""
    machine: Machine
    options: Options
    senders: dict[str, str]
    missing: dict[str, list[str]]
    criteria: list[Criterion]
    rows: list[Row]
    climbs: list[Climb]
    steering: list[Steering]
    idle: list[Idle]
    answers: list[Answers]
    skipped: list[Skipped]
    measured: list[Measured]


def make_report(
    run: Run, options: Options, machine: Machine, senders: dict[str, str], missing: dict[str, list[str]],
    *, started: str, complete: bool,
) -> Report:  # fmt: skip
    """Return the report of what *run* has measured so far."""
    results = run.results
    return Report(
        started=started,
        complete=complete,
        machine=machine,
        options=options,
        senders=senders,
        missing=missing,
        criteria=criteria(results, options),
        rows=results.rows(),
        climbs=run.climbs,
        steering=run.steering,
        idle=run.idle,
        answers=run.answers,
        skipped=run.skipped,
        measured=run.measured,
    )


def write_json(report: Report, folder: Path) -> Path:
    """Write ``bench.json`` into *folder*."""
    path = folder / "bench.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    return path


def link_latest(folder: Path) -> None:
    """Let the link ``bench-latest`` beside *folder* point to it. An older link is replaced in one step."""
    link = folder.with_name("bench-latest")
    partial = folder.with_name(f".bench-latest-{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(folder.name)
    partial.replace(link)


def show(report: Report, to: TextIO) -> None:
    """Print the tables to *to*."""
    console = Console(file=to, highlight=False)
    if not console.is_terminal:
        console = Console(file=to, highlight=False, width=NARROWEST)
    for title, rows in _groups(report.rows):
        console.print(_rows_table(title, rows))
    if report.climbs:
        console.print(_climbs_table(report.climbs))
    if report.criteria:  # last: people look at the end of the output first
        console.print(_criteria_table(report.criteria))
    for line in _remarks(report):
        console.print(line, markup=False)


def _criteria_table(lines: Iterable[Criterion]) -> Table:
    table = _table("Done when", "", "bound", "seen", "verdict")
    for line in lines:
        colour = _COLOURS[line.verdict]
        table.add_row(line.what, line.bound, line.seen, f"[{colour}]{line.verdict}[/]")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _groups(rows: list[Row]) -> Iterable[tuple[str, list[Row]]]:
    """Yield title and rows of each table: same rate, clients, network and dead clients; the cheapest sender first."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        cell = row.cell
        if cell.clients > 1:
            groups.setdefault((cell.rate_mbit, cell.clients, cell.network, cell.dead), []).append(row)
    for (rate, clients, network, dead), members in groups.items():
        beside = f" beside {dead} dead ones" if dead else ""
        yield f"{clients} clients{beside}, {rate} Mbit/s, {network}", sorted(members, key=_cost)


def _cost(row: Row) -> float:
    return row.cpu_us_per_datagram.median if row.cpu_us_per_datagram else float("inf")


def _rows_table(title: str, rows: list[Row]) -> Table:
    table = _table(
        title,
        "sender",
        "µs a datagram",
        "÷ flume",
        "cores",
        "delivered",
        "worst client",
        "p99 late",
        "silence",
        "breaks",
        "n",
    )
    own = next((row.cpu_us_per_datagram for row in rows if row.cell.sender == plan.FLUME), None)
    for row in rows:
        if not row.repeats:
            table.add_row(row.cell.sender, "; ".join(dict.fromkeys(row.failures))[:60])
            continue
        table.add_row(
            row.cell.sender,
            text_of(row.cpu_us_per_datagram, "{:.2f}".format),
            f"{row.cpu_us_per_datagram.median / own.median:.1f}" if own and row.cpu_us_per_datagram else "–",
            _median(row.cores, "{:.2f}".format),
            _median(row.share, "{:.0%}".format),
            _median(row.worst_client_share, "{:.0%}".format),
            _median(row.lateness_p99_ms, "{:.0f} ms".format),
            _median(row.silence_ms, "{:.0f} ms".format),
            str(row.continuity_errors),
            str(row.repeats),
        )
    return table


def _median(values: Spread | None, form: Callable[[float], str]) -> str:
    return form(values.median) if values else "–"


def _climbs_table(climbs: list[Climb]) -> Table:
    table = _table("Highest rungs", "ladder", "sender", "most clients", "then")
    before = ""
    for climb in climbs:
        ladder = climb.ladder.describe
        table.add_row("" if ladder == before else ladder, climb.sender, str(climb.highest), climb.ended or "the top")
        before = ladder
    return table


def _remarks(report: Report) -> Iterable[str]:
    for name, packages in report.missing.items():
        yield f"Not measured: {name} ({', '.join(packages)} missing)."
    out_of_time = sum(each.reason.startswith("out of time") for each in report.skipped)
    if out_of_time:
        yield f"{out_of_time} cells were not tried: out of time."
    noisy, measured = noise(report.rows)
    if noisy:
        yield (
            f"Other load kept this host busy during {noisy} of {measured} measurements: "
            "trust ratios of interleaved repeats more than single figures."
        )
    if not report.complete:
        yield "Interrupted: these are the figures up to the interruption."
