"""``flume lab report``: which run it finds, and what it says where there is none."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flume.errors import LabError
from flume.lab.cli import lab
from flume.lab.report.writer import write_report
from flume.lab.run.artifacts import point_latest_at
from support.pages.sample import a_report


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(lab, ["report", *map(str, arguments)])


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    for name in ("20260101-000000-aaaa", "20260102-000000-bbbb"):
        write_report(a_report(run=name), tmp_path / name)
        (tmp_path / name / "report.html").write_text("old")
    point_latest_at(tmp_path / "20260102-000000-bbbb")
    return tmp_path


def test_the_newest_run_is_meant_unless_one_is_named(artifacts: Path):
    done = report("--artifacts", artifacts)
    assert done.output == f"{artifacts}/latest/report.html\n"
    assert "20260102-000000-bbbb" in (artifacts / "latest" / "report.html").read_text()
    assert (artifacts / "20260101-000000-aaaa" / "report.html").read_text() == "old"
    assert report("20260101-000000-aaaa", "--artifacts", artifacts).exit_code == 0
    assert "20260101-000000-aaaa" in (artifacts / "20260101-000000-aaaa" / "report.html").read_text()


@pytest.mark.parametrize("name", ["", "report.json"])
def test_a_folder_or_its_report_may_be_named_by_its_path(artifacts: Path, name: str):
    folder = artifacts / "20260101-000000-aaaa"
    assert report(folder / name).output == f"{folder}/report.html\n"
    assert (folder / "report.html").read_text() != "old"


def test_a_run_that_is_not_there_is_one_line_that_says_where_it_was_looked_for(tmp_path: Path):
    done = report("last-week", "--artifacts", tmp_path)
    assert isinstance(done.exception, LabError)
    said = f"no report of 'last-week': there is no {tmp_path}/last-week/report.json and no last-week/report.json"
    assert str(done.exception) == said


def test_a_damaged_report_leaves_the_page_as_it_was(artifacts: Path):
    (artifacts / "latest" / "report.json").write_bytes(b"{")
    done = report("--artifacts", artifacts)
    assert isinstance(done.exception, LabError)
    assert (artifacts / "latest" / "report.html").read_text() == "old"
