"""The page of a study: one file without programs, which loads nothing; and the two tables beside it."""

from pathlib import Path

from markupsafe import Markup

from flume.errors import LabError
from flume.lab.report.page import page_style
from flume.lab.report.pages import number, replace_file, template
from flume.lab.study.intervals import Interval
from flume.lab.study.results import CellResult, Results, client_runs_csv, intervals_csv
from flume.lab.trial.figures import Figure

HTML_NAME, RUNS_NAME, INTERVALS_NAME = "study.html", "study.csv", "intervals.csv"

_FOLDER = Path(__file__).parent


def write_page(found: Results, folder: Path) -> Path:
    """Write page and tables into *folder*; return the path of the page. Raises :class:`LabError`."""
    contents = {HTML_NAME: html(found), RUNS_NAME: client_runs_csv(found), INTERVALS_NAME: intervals_csv(found)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            replace_file(folder / name, content.encode())
    except OSError as error:
        raise LabError(
            f"the study cannot be written to {folder}: {error.strerror}: make room or choose another"
        ) from error
    return folder / HTML_NAME


def html(found: Results) -> str:
    """Return the page of a study."""
    style = page_style() + (_FOLDER / "styles" / "study.css").read_text("utf-8")
    return template(_FOLDER / "templates", "study.html.j2").render(
        found=found,
        study=found.study,
        first=found.cells[0],
        beside_first={cell.cell.key: beside(found, cell) for cell in found.cells},
        others={cell.cell.key: others(found, cell) for cell in found.cells},
        ends=ends,
        style=Markup(style),  # noqa: S704 - files of ours
        files=(RUNS_NAME, INTERVALS_NAME),
    )


def ends(one: Interval, figure: Figure) -> str:
    """Return the interval *one* of *figure* in words.

    >>> from flume.lab.trial.figures import FIGURES
    >>> ends(Interval(6, 1.0, 0.75, 1.25), FIGURES["loss_pct"]), ends(Interval(1, 1.0), FIGURES["loss_pct"])
    ('0.75 to 1.25', 'too few runs')
    """
    if one.low is None or one.high is None:
        return "too few runs"
    return f"{number(one.low, figure.digits)} to {number(one.high, figure.digits)}"


def beside(found: Results, cell: CellResult) -> dict[str, str]:
    """Return for each figure how *cell* is beside the first cell: ``worse``, ``better``, ``same``; else no entry."""
    words = {}
    for pair in found.pairs:
        if (pair.a, pair.b) != (found.cells[0].title, cell.title):
            continue
        for figure in found.figures:
            first = pair.figures[figure.key]
            if first == "":
                words[figure.key] = "same"
            elif first is not None:
                # The pair says how the first one is beside this one.
                words[figure.key] = "worse" if (first == "lower") == (figure.worse == "higher") else "better"
    return words


def others(found: Results, cell: CellResult) -> list[tuple[str, dict[str, list[str]]]]:
    """Return for each other cell which figures are higher here, lower here, and not shown to differ, by title."""
    rows = []
    for pair in found.pairs:
        if cell.title not in {pair.a, pair.b}:
            continue
        mirrored = pair.b == cell.title
        words: dict[str, list[str]] = {"higher": [], "lower": [], "same": []}
        for figure in found.figures:
            how = pair.figures[figure.key]
            if how:
                words["lower" if (how == "higher") == mirrored else "higher"].append(figure.title)
            elif how is not None:
                words["same"].append(figure.title)
        rows.append((pair.a if mirrored else pair.b, words))
    return rows
