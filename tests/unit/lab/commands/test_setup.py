"""The commands that prepare a machine and undo that, as the Makefile calls them."""

import re
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
from click.testing import CliRunner

from flume.errors import EngineAbsentError, EngineError, SetupError
from flume.lab import checkout
from flume.lab.cli import lab
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.containers.image_removal import Removal
from flume.lab.engines import prepare
from flume.lab.hosts.remembered import remember, remembered
from flume.lab.hosts.site import Site
from flume.lab.machine import dockerd
from support.paths import ROOT


def test_every_lab_command_of_the_makefile_exists() -> None:
    called = re.findall(r"\$\(BIN\)/flume lab ([a-z-]+)", (ROOT / "Makefile").read_text())
    assert {"setup", "purge", "stop-engine", "run", "status", "down"} <= set(called)
    for name in called:
        assert CliRunner().invoke(lab, [name, "--help"]).exit_code == 0, name


class Prepared:
    """An engine that has only what the command needs."""

    closed = False

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(self, *_: object) -> None:
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

    def no_netem(_engine: object, _say: object, **_options: object) -> None:
        raise SetupError("its kernel has no netem")

    monkeypatch.setattr(prepare, "prepare", prepare_here)
    monkeypatch.setattr(prepare, "prepare_netem", no_netem)
    done = CliRunner().invoke(lab, arguments)
    assert (done.exit_code, done.stderr) == (0, "its kernel has no netem\n"), "a lab without netem is possible"
    assert [options["tests"] for options in seen] == [tests]
    assert engine.closed


def test_purge_names_what_an_earlier_version_left_and_how_to_end_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its disks are removed; a kernel is left to the person, because a process number may belong to another by now."""
    (tmp_path / "lab-disk-0123.ext4").touch()
    (tmp_path / "kernel-3.json").touch()
    monkeypatch.setattr(checkout, "cache", lambda: tmp_path)
    monkeypatch.setattr(prepare, "EARLIER_KERNELS", tmp_path)

    def no_engine() -> None:
        raise EngineAbsentError("no engine")

    monkeypatch.setattr(Engine, "connect", no_engine)
    said = CliRunner().invoke(lab, ["purge"]).stderr
    assert "Removed lab-disk-0123.ext4" in said
    assert not (tmp_path / "lab-disk-0123.ext4").exists()
    assert "pkill -KILL -u 60703; ip link delete flumelab3; rm -r /var/lib/flumelab/kernel-3" in said


def test_purge_with_the_engine_stopped_is_an_error_where_images_were_built_and_else_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error keeps `make purge` from removing the environment, without which it could not be done again."""

    def no_engine() -> None:
        raise EngineAbsentError("no Docker engine at unix:///x")

    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    monkeypatch.setattr(Engine, "connect", no_engine)
    done = CliRunner().invoke(lab, ["purge"])
    assert (done.exit_code, done.stderr) == (0, "")
    (tmp_path / ".cache" / "site-0123").mkdir(parents=True)
    error = CliRunner().invoke(lab, ["purge"]).exception
    assert isinstance(error, SetupError)
    assert "start it (systemctl start docker, or make setup), then purge again" in str(error)
    assert error.exit_code == 3


class WithImages(Prepared):
    """An engine that has images of ours, one of which is needed."""

    host = ""

    @property
    def locks(self) -> "WithImages":
        return self

    def find(self) -> list[object]:
        return []

    def names(self, _lab: object) -> list[str]:
        return []

    def close(self) -> None:
        self.closed = True

    def remove_lab(self, _lab: object) -> list[str]:
        return ["container flumelab-x-server"]


def test_purge_names_what_it_keeps_and_why_and_the_next_one_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".cache" / "site-0123").mkdir(parents=True)
    plan = Removal(("1",), ("flumelab/probe:latest",), {"flumelab/base:bookworm": "the image my/own:1 is built on it"})
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    monkeypatch.setattr(Engine, "connect", WithImages)
    monkeypatch.setattr(images, "remove_images", lambda _engine: plan)
    monkeypatch.setattr(dockerd, "stop_engine", lambda _say: False)
    done = CliRunner().invoke(lab, ["purge"])
    assert (done.exit_code, done.stderr.splitlines()) == (
        0,
        [
            "Removed container flumelab-x-server.",
            "Removed image flumelab/probe:latest.",
            "Kept the image flumelab/base:bookworm: the image my/own:1 is built on it.",
        ],
    )
    assert not images.may_have_built(tmp_path)


def test_purge_of_hosts_removes_nothing_anywhere_where_one_of_them_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def not_reached(_hosts: object, *, say: object) -> None:
        raise EngineError("host h2: no Docker engine at tcp://192.0.2.7")

    file = tmp_path / "hosts.toml"
    file.write_text('[[host]]\nname = "h1"\ndocker = "unix:///x"\nserver = true\n')
    monkeypatch.setattr(checkout, "cache", lambda: tmp_path)
    monkeypatch.setattr(prepare, "connect", not_reached)
    monkeypatch.setattr(Engine, "connect", WithImages)
    monkeypatch.setattr(prepare, "clear", lambda *_arguments, **_options: pytest.fail("something was removed"))
    error = CliRunner().invoke(lab, ["purge", "--hosts", str(file)]).exception
    assert isinstance(error, EngineError)
    assert "host h2" in str(error)

    def hung() -> None:
        raise EngineError("the Docker engine at unix:///x does not answer")

    monkeypatch.setattr(prepare, "connect", lambda _hosts, *, say: Site.of(cast("Engine", WithImages())))
    monkeypatch.setattr(Engine, "connect", hung)
    error = CliRunner().invoke(lab, ["purge", "--hosts", str(file)]).exception
    assert isinstance(error, EngineError)
    assert "unix:///x does not answer" in str(error)


def test_purge_of_hosts_from_a_machine_without_an_engine_clears_them_and_forgets_their_labs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_engine() -> None:
        raise EngineAbsentError("no Docker engine at unix:///x")

    cleared: list[str] = []
    file = tmp_path / "hosts.toml"
    file.write_text('[[host]]\nname = "h1"\ndocker = "ssh://h1.example"\nserver = true\n')
    (tmp_path / ".cache" / "site-0123").mkdir(parents=True)
    remember(tmp_path / ".cache", "course", file)
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    monkeypatch.setattr(checkout, "cache", lambda: tmp_path / ".cache")
    monkeypatch.setattr(prepare, "connect", lambda _hosts, *, say: Site.of(cast("Engine", WithImages())))
    monkeypatch.setattr(prepare, "clear", lambda _site, _say, *, again: cleared.append(again))
    monkeypatch.setattr(Engine, "connect", no_engine)
    done = CliRunner().invoke(lab, ["purge", "--hosts", str(file)])
    assert (done.exit_code, cleared) == (0, [f"make purge HOSTS={file}"])
    assert "may keep images and labs of this checkout: they stay there" in done.stderr
    assert not images.may_have_built(tmp_path)
    assert remembered(tmp_path / ".cache", "course") is None


def test_purge_stops_nothing_where_an_engine_was_not_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not reached is not absent: its labs may run, and `make purge` must not go on."""

    def not_reached() -> None:
        raise EngineError("the Docker engine at unix:///x does not answer")

    monkeypatch.setattr(checkout, "cache", lambda: tmp_path)
    monkeypatch.setattr(Engine, "connect", not_reached)
    monkeypatch.setattr(dockerd, "stop_engine", lambda _say: pytest.fail("stopped"))
    assert isinstance(CliRunner().invoke(lab, ["purge"]).exception, EngineError)


@pytest.mark.parametrize(
    ("verb", "module", "function"), [("purge", prepare, "purge"), ("stop-engine", dockerd, "stop_engine")]
)
def test_the_other_commands_report_on_standard_error_and_pass_errors_on(
    monkeypatch: pytest.MonkeyPatch, verb: str, module: ModuleType, function: str
) -> None:
    monkeypatch.setattr(module, function, lambda say, **_options: say("Removed it."))
    result = CliRunner().invoke(lab, [verb])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Removed it.\n")

    def fail(_say: object, **_options: object) -> None:
        raise SetupError("dockerd did not end")

    monkeypatch.setattr(module, function, fail)
    assert isinstance(CliRunner().invoke(lab, [verb]).exception, SetupError)
