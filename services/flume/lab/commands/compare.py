"""``flume lab compare``: what changed between two runs beyond noise; for CI."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import rich.box
from rich.table import Table
from rich.text import Text

from flume.errors import SettingsError
from flume.lab.commands.common import console
from flume.lab.report.writer import JSON_NAME, read_report
from flume.lab.study.compare import DEFAULTS, Comparison, Row, Tolerance, VerdictRow, compare, tolerances
from flume.lab.trial.figures import FIGURES
from flume.lab.trial.verdict import Report

_STYLES = {"worse": "bold red", "better": "green", "same": "", "not comparable": "dim", "vanished": "yellow"}


def _epilog() -> str:
    lines = [
        f"  {key:<18} {f'{DEFAULTS[key].tolerance} {figure.unit}':<16} {figure.title}: {figure.meaning[0].lower()}"
        f"{figure.meaning[1:]}"
        for key, figure in FIGURES.items()
    ]
    return "\b\nFigures and default tolerances (of an absolute one and a share the greater counts):\n" + "\n".join(
        lines
    )


@click.command(name="compare", short_help="Say what changed between two runs.", epilog=_epilog())
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@click.option(
    "--tolerance",
    "texts",
    multiple=True,
    metavar="FIGURE=NUMBER[%]",
    help="What is no change: in the figure's unit (loss_pct=0.5), or as a share of RUN_A's (join_ms=20%). Repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="Show the figures that did not change too.")
@click.option("--strict", is_flag=True, help="A figure that RUN_A has and RUN_B has not is worse.")
@click.option("--json", "as_json", is_flag=True, help="Write the comparison to standard output as JSON.")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="The folder in which a run is found by its name.",
)
def compare_runs(
    *, run_a: str, run_b: str, texts: tuple[str, ...], everything: bool, strict: bool, as_json: bool, artifacts: Path
) -> None:
    """Say what changed from RUN_A to RUN_B beyond noise, client by client.

    A run is the folder of its artefacts, its report.json, or its name. The exit status is 1 where anything is worse
    (a verdict, a figure by more than its tolerance, a picture that was to come after connect or continue and did not),
    0 where nothing is; 2 and 3 for input that cannot be compared.
    """
    allowed = tolerances(texts)
    a, b = (_report(key, text, artifacts) for key, text in (("RUN_A", run_a), ("RUN_B", run_b)))
    found = compare(a, b, allowed, strict=strict)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(as_dict(a, b, found, allowed))))
    else:
        _print(a, b, found, everything=everything)
    sys.exit(int(found.worse))


def _report(key: str, text: str, artifacts: Path) -> Report:
    """Return the report that *text* names. Raises :class:`SettingsError` where there is none."""
    for path in (Path(text), artifacts / text):
        for file in (path / JSON_NAME, path):
            if file.is_file():
                return read_report(file)
    raise SettingsError(key, text, f"the folder of a run with its {JSON_NAME}, that file, or a name in {artifacts}")


def as_dict(a: Report, b: Report, found: Comparison, allowed: dict[str, Tolerance]) -> dict[str, object]:
    """Return the comparison for programs."""
    return {
        "a": a.run,
        "b": b.run,
        "worse": found.worse,
        "notes": list(found.notes),
        "verdicts": [
            {"subject": subject, "a": first, "b": second, "change": change}
            for subject, first, second, change in found.verdicts
        ],
        "figures": [row._asdict() for row in found.rows],
        "tolerances": {key: one._asdict() for key, one in allowed.items()},
    }


def _print(a: Report, b: Report, found: Comparison, *, everything: bool) -> None:
    for note in found.notes:
        click.echo(f"made differently: {note}")
    rows = [row for row in found.rows if everything or row.change != "same"]
    verdicts = [one for one in found.verdicts if everything or one.change != "same"]
    if rows or verdicts:
        console().print(_table(a, b, rows, verdicts))
    same = sum(row.change == "same" for row in found.rows)
    worse = sum(row.change == "worse" for row in found.rows) + sum(one.change == "worse" for one in found.verdicts)
    better = sum(row.change == "better" for row in found.rows) + sum(one.change == "better" for one in found.verdicts)
    for row in found.rows:
        if row.a is not None and row.b is None:
            counts = ": worse" if row.change == "worse" else "; with --strict that is worse"
            click.echo(f"{row.subject}: {row.title} was measured in A and not in B{counts}")
    click.echo(f"figures within tolerance: {same}; better: {better}; worse: {worse}")


def _table(a: Report, b: Report, rows: Sequence[Row], verdicts: Sequence[VerdictRow]) -> Table:
    made = Table(title=f"A {a.run}, B {b.run}", title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("client", "figure"):
        made.add_column(header, no_wrap=True)
    for header in ("A", "B", "B − A", "tolerance"):
        made.add_column(header, justify="right", no_wrap=True)
    made.add_column("change", no_wrap=True)
    for subject, first, second, change in verdicts:
        made.add_row(subject, "verdict", str(first), str(second), "", "", Text(change, style=_STYLES[change]))
    for row in rows:
        values = (_number(row.a, row), _number(row.b, row), _number(row.delta, row, signed=True))
        name = f"{row.title} {row.unit}".strip()
        made.add_row(
            row.subject, name, *values, f"{row.tolerance:.{row.digits}f}", Text(row.change, style=_STYLES[row.change])
        )
    return made


def _number(value: float | None, row: Row, *, signed: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if signed else ''}.{row.digits}f}"
