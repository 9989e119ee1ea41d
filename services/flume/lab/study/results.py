"""What the runs of a study show: figures of client-runs, their means and intervals, and which cells differ."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flume.errors import LabError
from flume.lab.report.writer import JSON_NAME, read_report
from flume.lab.study.intervals import Interval, interval, overlap
from flume.lab.study.matrix import Cell, Settings, Study, cells, command, title
from flume.lab.study.state import DoneRun, State
from flume.lab.trial.figures import FIGURES, Figure
from flume.lab.trial.verdict import ClientReport, LinkFigure, Report


class CellRun(NamedTuple):
    """One attempt at a run of a cell, with its report; None where there is none."""

    done: DoneRun
    report: Report | None
    problem: str = ""
    """Why it does not count, or why its report cannot be read; empty where it counts."""

    @property
    def counts(self) -> bool:
        """Whether its figures are part of the intervals."""
        return self.report is not None and not self.problem


class CellResult(NamedTuple):
    """One cell: its runs, and the interval of each figure, None where nothing measured it."""

    cell: Cell
    title: str
    command: str
    runs: tuple[CellRun, ...]
    intervals: dict[str, Interval | None]

    @property
    def counted(self) -> int:
        """How many of its runs count."""
        return sum(run.counts for run in self.runs)

    @property
    def client_runs(self) -> int:
        """How many client-runs its intervals rest on, at most."""
        return sum(len(run.report.clients) for run in self.runs if run.counts and run.report)

    @property
    def links(self) -> list[tuple[str, LinkFigure]]:
        """The figures of its links as configured and as measured, each with the name of the run."""
        return [
            (run.done.run, figure)
            for run in self.runs
            if run.report is not None and run.report.network is not None
            for figure in run.report.network.figures
        ]


class Pair(NamedTuple):
    """Two cells, and for each figure ``higher`` or ``lower``: how *a* is beside *b*; ``""``: no difference shown.

    None: at least one of them has no interval.
    """

    a: str
    b: str
    figures: dict[str, str | None]


class Results(NamedTuple):
    """All that a study shows."""

    study: Study
    cells: tuple[CellResult, ...]
    figures: tuple[Figure, ...]
    """Those that any cell measured, in the order of tables."""
    pairs: tuple[Pair, ...]
    planned: int
    finished: int
    interrupted: bool


def results(state: State, folder: Path) -> Results:
    """Return what the runs recorded in *state* show; their reports are read from *folder*.

    A report that cannot be read costs its run, which then says so.
    """
    found = tuple(_cell(state, cell, folder) for cell in cells(state.study))
    measured = tuple(f for key, f in FIGURES.items() if any(cell.intervals[key] is not None for cell in found))
    pairs = tuple(
        Pair(a.title, b.title, {figure.key: _differs(a, b, figure.key) for figure in measured})
        for at, a in enumerate(found)
        for b in found[at + 1 :]
    )
    repeats = range(1, state.study.repeats + 1)
    finished = sum(
        any(run.counts for run in cell.runs if run.done.repeat == repeat) for cell in found for repeat in repeats
    )
    return Results(
        state.study, found, measured, pairs, len(found) * state.study.repeats, finished, interrupted=state.interrupted
    )


def _cell(state: State, cell: Cell, folder: Path) -> CellResult:
    attempts = tuple(_read(done, folder / cell.key) for done in state.done if done.cell == cell.key)
    clients = [client for run in attempts if run.counts and run.report for client in run.report.clients]
    intervals = {key: _interval(figure, clients, state.study.seed) for key, figure in FIGURES.items()}
    return CellResult(cell, title(state.study, cell), command(state.study, cell), attempts, intervals)


def _read(done: DoneRun, folder: Path) -> CellRun:
    if not done.run:
        return CellRun(done, None, done.trouble)
    try:
        return CellRun(done, read_report(folder / done.run / JSON_NAME), done.trouble)
    except LabError as error:
        return CellRun(done, None, done.trouble or str(error))


def _interval(figure: Figure, clients: list[ClientReport], seed: int) -> Interval | None:
    return interval([value for client in clients if (value := figure.read(client)) is not None], seed=seed)


def _differs(a: CellResult, b: CellResult, key: str) -> str | None:
    first, second = a.intervals[key], b.intervals[key]
    if first is None or second is None or (common := overlap(first, second)) is None:
        return None
    return "" if common else "higher" if first.mean > second.mean else "lower"


def client_runs_csv(found: Results) -> str:
    """Return one line a client-run, those that do not count as well: the data behind every interval."""
    header = ["cell", "profile", *Settings.__struct_fields__, "repeat", "attempt", "run", "counts", "why_not"]
    header += ["verdict", "client", *FIGURES]
    return _csv(header, _client_runs(found))


def _client_runs(found: Results) -> Iterator[list[object]]:
    for cell in found.cells:
        for run in cell.runs:
            fixed = [cell.cell.key, *cell.cell, run.done.repeat, run.done.attempt, run.done.run]
            fixed += ["yes" if run.counts else "no", run.problem]
            if run.report is None:
                yield [*fixed, run.done.verdict, "", *("" for _ in FIGURES)]
                continue
            for client in run.report.clients:
                values = (figure.read(client) for figure in FIGURES.values())
                yield [*fixed, client.verdict, client.name, *("" if one is None else one for one in values)]


def intervals_csv(found: Results) -> str:
    """Return one line a cell and figure: mean, 95 % interval, client-runs."""
    header = ["cell", "profile", *Settings.__struct_fields__, "figure", "unit", "client_runs", "mean", "low", "high"]
    rows = (
        [cell.cell.key, *cell.cell, figure.key, figure.unit, one.size, one.mean, _end(one.low), _end(one.high)]
        for cell in found.cells
        for figure in found.figures
        if (one := cell.intervals[figure.key]) is not None
    )
    return _csv(header, rows)


def _end(value: float | None) -> object:
    return "" if value is None else value


def _csv(header: list[str], rows: Iterator[list[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
