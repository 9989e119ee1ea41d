"""The commands that prepare a machine and undo that, as the Makefile calls them."""

import re

import pytest
from click.testing import CliRunner

from flume.errors import SetupError
from flume.lab.cli import lab
from flume.lab.engines import prepare
from support.paths import ROOT


def test_every_lab_command_of_the_makefile_exists() -> None:
    called = re.findall(r"\$\(BIN\)/flume lab ([a-z-]+)", (ROOT / "Makefile").read_text())
    assert {"setup", "purge", "stop-engine", "run", "status", "down"} <= set(called)
    for name in called:
        assert CliRunner().invoke(lab, [name, "--help"]).exit_code == 0, name


class Prepared:
    """An engine that has only what the command needs."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("arguments", "tests"), [(["setup"], False), (["setup", "--tests"], True)])
def test_setup_prepares_the_machine_and_lets_go_of_the_engine(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], tests: bool
) -> None:
    engine = Prepared()
    seen: list[dict[str, object]] = []

    def prepare_here(_say: object, **options: object) -> Prepared:
        seen.append(options)
        return engine

    monkeypatch.setattr(prepare, "prepare", prepare_here)
    assert CliRunner().invoke(lab, arguments).exit_code == 0
    assert [options["tests"] for options in seen] == [tests]
    assert engine.closed


@pytest.mark.parametrize(("verb", "function"), [("purge", "purge"), ("stop-engine", "stop")])
def test_the_other_commands_report_on_standard_error_and_pass_errors_on(
    monkeypatch: pytest.MonkeyPatch, verb: str, function: str
) -> None:
    monkeypatch.setattr(prepare, function, lambda say: say("Removed it."))
    result = CliRunner().invoke(lab, [verb])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Removed it.\n")

    def fail(_say: object) -> None:
        raise SetupError("dockerd did not end")

    monkeypatch.setattr(prepare, function, fail)
    assert isinstance(CliRunner().invoke(lab, [verb]).exception, SetupError)
