"""``flume lab quality``: a run's report gets its pictures, in one step, and errors are one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from flume.errors import LabError
from flume.lab import testcard
from flume.lab.cli import lab
from flume.lab.pictures import compare
from flume.lab.report.writer import read_report, write_report
from support.captures.streaming import PaperRun


@pytest.fixture
def run(tmp_path: Path) -> PaperRun:
    video = testcard.generate(tmp_path / "card.ts", duration_s=1, width=320, height=180, bitrate_kbit=400)
    made = PaperRun(tmp_path / "artifacts" / "mine", video.read_bytes())
    write_report(made.write(lost=[20]), made.folder)
    (tmp_path / "artifacts" / "latest").symlink_to("mine")
    return made


def test_the_newest_run_gets_its_pictures(run: PaperRun) -> None:
    before = (run.folder / "report.html").read_text()
    done = CliRunner().invoke(lab, ["quality", "--artifacts", str(run.folder.parent)])
    assert done.exit_code == 0, done.output
    assert "client-1: " in done.stdout
    assert " of 25 frames as sent, " in done.stdout
    assert " not decodable, VMAF " in done.stdout
    pictures = read_report(run.folder / "report.json").clients[0].measures.pictures
    assert pictures is not None
    assert pictures.compared + pictures.not_decodable == 25
    page = (run.folder / "report.html").read_text()
    assert page != before
    assert page.count("data:image/jpeg") == 2
    names = {path.name for path in run.folder.iterdir()}
    worst = {"client-1-worst-sent.jpg", "client-1-worst-shown.jpg"}
    assert names == {"captures", "report.json", "report.html", "junit.xml", *worst}


def test_an_interrupt_leaves_the_old_report(run: PaperRun, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare.compare(run.folder, read_report(run.folder / "report.json"))
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_run_that_is_not_there_or_has_no_captures_is_one_line(run: PaperRun, tmp_path: Path) -> None:
    options = ["--artifacts", str(run.folder.parent)]
    missing = CliRunner().invoke(lab, ["quality", "other", *options])
    assert isinstance(missing.exception, LabError)
    assert "no report of 'other'" in str(missing.exception)
    (run.folder / "captures" / "server.pcap").unlink()
    bare = CliRunner().invoke(lab, ["quality", str(run.folder / "report.json"), *options])
    assert isinstance(bare.exception, LabError)
    assert "server.pcap is not there" in str(bare.exception)


def test_pictures_that_cannot_be_measured_are_said_with_the_reason(run: PaperRun) -> None:
    (run.folder / "captures" / "client-1.pcap").unlink()
    done = CliRunner().invoke(lab, ["quality", str(run.folder)])
    assert done.exit_code == 0
    assert "client-1: pictures not measured: " in done.stdout
