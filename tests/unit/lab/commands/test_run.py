"""The options of ``flume lab run``."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flume.errors import LabError, SetupError
from flume.lab.cli import lab
from flume.lab.commands import run
from flume.lab.run.runner import Outcome
from flume.lab.trial.verdict import Verdict
from support.report_values import report


def run_with(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> Result:
    """Run the command up to the point at which a lab would be started."""

    def no_lab(*_: object, **__: object) -> None:
        raise LabError("no lab is started here")

    monkeypatch.setattr(run, "run_lab", no_lab)
    return CliRunner().invoke(lab, ["run", *arguments], env={"ENGINE": None, **environment})


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [((), {"ENGINE": "kernel"}), ((), {"ENGINE": "local"}), (("--engine", "kernel"), {})],
)
def test_the_choice_of_an_engine_that_earlier_versions_offered_is_one_line_and_no_error(
    monkeypatch, arguments, environment
):
    done = run_with(monkeypatch, *arguments, **environment)
    assert isinstance(done.exception, LabError), "the run goes on"
    (line,) = done.stderr.splitlines()
    assert line.startswith("ENGINE=")
    assert "no longer needed" in line


@pytest.mark.parametrize("environment", [{}, {"ENGINE": ""}, {"ENGINE": "auto"}, {"ENGINE": "podman"}])
def test_nothing_is_said_where_no_choice_was_made(monkeypatch, environment):
    assert not run_with(monkeypatch, **environment).stderr


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.PASS, 0), (Verdict.FAIL, 1)])
def test_pictures_that_cannot_be_measured_leave_the_verdict(monkeypatch, verdict, status):
    def no_ffmpeg(*_: object) -> None:
        raise SetupError("there is no ffmpeg")

    monkeypatch.setattr(run, "run_lab", lambda *_, **__: Outcome(report(verdict=verdict), Path("artifacts/one")))
    monkeypatch.setattr(run, "measure_pictures", no_ffmpeg)
    done = CliRunner().invoke(lab, ["run", "--quality"])
    assert done.exit_code == status, done.output
    assert "The pictures were not measured: there is no ffmpeg" in done.stderr
    assert f"verdict: {verdict}" in done.stdout
