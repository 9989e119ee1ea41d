"""``flume lab report``: make the page of a run anew, from its report and pictures."""

from pathlib import Path

import click

from flume.errors import LabError
from flume.lab.report.writer import JSON_NAME, write_page


@click.command(name="report", short_help="Make report.html of a run anew.")
@click.argument("run", default="latest")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="The folder for reports, captures and logs.",
)
def report(*, run: str, artifacts: Path) -> None:
    """Make report.html of RUN anew, from its report.json and the pictures beside it, and print its path.

    RUN is the name of a folder in the artifacts, the newest one by default, or the path of a folder that holds a
    report.json. A report of an older version has fewer figures; its page says which were not measured.
    """
    click.echo(write_page(_folder(run, artifacts)))


def _folder(run: str, artifacts: Path) -> Path:
    given = Path(run)
    if given.name == JSON_NAME:
        given = given.parent
    tried = [artifacts / run, given]
    for folder in tried:
        if (folder / JSON_NAME).is_file():
            return folder
    raise LabError(f"no report of {run!r}: there is no {' and no '.join(str(one / JSON_NAME) for one in tried)}")
