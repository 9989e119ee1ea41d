"""``flume lab study``: a whole study without a lab, and what is refused before anything is started."""

import importlib
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from flume.errors import LabError, SettingsError
from flume.lab.cli import lab
from flume.lab.commands import study as command
from flume.lab.engines import prepare
from flume.lab.hosts.site import Site
from flume.lab.run.spec import RunSpec
from flume.lab.trial.verdict import Report
from support.studies import FakeLab, usual_report

TEXT = """description = "two networks"
clients = 1
repeats = 1
scenario = "steady"
duration_s = 5
pictures = false
profiles = ["clean", "lossy-1"]
"""


class NoHosts:
    """Closed after use, and nothing else."""

    def close(self) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path) -> FakeLab:
    fake = FakeLab()
    monkeypatch.setattr(prepare, "prepare_site", lambda *_, **__: cast("Site", NoHosts()))
    monkeypatch.setattr(command, "run_on", lambda _site, spec, **_: fake.run_one(spec))
    (tmp_path / "mine.toml").write_text(TEXT)
    return fake


def study(tmp_path, *options: str) -> Result:
    return CliRunner().invoke(
        lab, ["study", str(tmp_path / "mine.toml"), "--artifacts", str(tmp_path / "artifacts"), *options]
    )


def test_a_study_leaves_its_page_and_ends_with_0(fake, tmp_path):
    done = study(tmp_path)
    assert done.exit_code == 0, done.output
    assert len(fake.specs) == 2
    folder = tmp_path / "artifacts" / "study-mine"
    assert f"2 of 2 runs count; the page: {folder / 'study.html'}" in done.stdout
    assert "run 1 of 2: clean; about" in done.stderr
    assert {"study.html", "study.csv", "intervals.csv", "state.json"} < {path.name for path in folder.iterdir()}


def test_a_study_of_which_a_run_does_not_count_ends_with_3(fake, tmp_path, monkeypatch):
    def untrusted(spec: RunSpec, number: int) -> Report | BaseException:
        return LabError("once") if number == 1 else usual_report(spec, number)

    monkeypatch.setattr(fake, "_reports", untrusted)
    assert study(tmp_path).exit_code == 0, "repeated"
    monkeypatch.setattr(fake, "_reports", lambda spec, number: LabError("always"))
    done = study(tmp_path, "--name", "other")
    assert isinstance(done.exception, LabError)
    assert "0 of 2 runs count" in done.stdout, "the page is written all the same"


def test_a_study_that_is_done_is_only_shown_again_by_resume(fake, tmp_path, monkeypatch):
    study(tmp_path)
    (tmp_path / "artifacts" / "study-mine" / "study.html").unlink()
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: pytest.fail("no engine is needed"))
    assert isinstance(study(tmp_path).exception, SettingsError)
    assert study(tmp_path, "--resume").exit_code == 0
    assert (tmp_path / "artifacts" / "study-mine" / "study.html").is_file()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("clients = 1", "clients = 0", "line 2: clients=0"),
        ('"lossy-1"', '"lossy-2"', "profiles='lossy-2'"),
        ('"steady"', '"stead"', "scenario='stead'"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_started(fake, tmp_path, old, new, says):
    (tmp_path / "mine.toml").write_text(TEXT.replace(old, new))
    done = study(tmp_path)
    assert isinstance(done.exception, SettingsError)
    assert says in str(done.exception)
    assert not fake.specs
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x"])
def test_a_name_that_is_no_folder_is_refused(fake, tmp_path, name):
    assert isinstance(study(tmp_path, f"--name={name}").exception, SettingsError) == bool(name)


def test_without_scipy_the_package_is_named_before_the_first_run(fake, tmp_path, monkeypatch):
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("no scipy", name="scipy")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert "flumelab[study]" in str(study(tmp_path).exception)
    assert not fake.specs


def test_the_pictures_of_a_run_that_counts_are_measured_and_a_failure_of_that_costs_nothing_else(
    fake, tmp_path, monkeypatch
):
    measured: list[str] = []

    def measure(folder: Path, report: Report) -> Report:
        measured.append(folder.parent.name.partition("-udp")[0])
        if len(measured) == 2:
            raise LabError("no captures")
        return report

    monkeypatch.setattr(command, "measure_pictures", measure)
    (tmp_path / "mine.toml").write_text(TEXT.replace("pictures = false\n", ""))
    done = study(tmp_path)
    assert (done.exit_code, measured) == (0, ["clean", "lossy-1"])
    assert "the pictures of this run were not measured: no captures" in done.stderr
