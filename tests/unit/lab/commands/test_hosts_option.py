"""``--hosts FILE``: a run over several machines is remembered while it has a lab there, and is not lost sight of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flume.errors import EngineError, LabError
from flume.lab import checkout
from flume.lab.cli import lab
from flume.lab.commands import run
from flume.lab.containers.topology import labels
from flume.lab.hosts.remembered import remember, remembered
from support.labs.fake_docker import FakeDocker, serving


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")  # of no lab here


def hosts_file(folder: Path, *names: str) -> Path:
    path = folder / f"{'-'.join(names)}.toml"
    path.write_text(
        "".join(f'[[host]]\nname = "{name}"\ndocker = "unix://{name}.sock"\nserver = {_is(name)}\n' for name in names)
    )
    return path


def _is(name: str) -> str:
    return str(name == "h1").lower()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(lab, [*map(str, arguments), "--lab", "x"])


@pytest.fixture
def two(tmp_path: Path) -> Iterator[dict[str, FakeDocker]]:
    """Two engines, each with a part of lab x."""
    found = {"h1": FakeDocker(), "h2": FakeDocker()}
    for name, docker in found.items():
        docker.add("flumelab-x-probe", labels=labels("x", "run", "probe"))
        docker.add(f"flumelab-x-client-{name[1]}", labels=labels("x", "run", "client", int(name[1])))
    with serving(found["h1"], tmp_path / "h1.sock"), serving(found["h2"], tmp_path / "h2.sock"):
        yield found


def test_a_run_whose_hosts_do_not_answer_is_not_remembered(tmp_path: Path) -> None:
    """So the next run without the file is not told that a lab is still there."""
    done = call("run", "--hosts", hosts_file(tmp_path, "h1", "h2"))
    assert isinstance(done.exception, EngineError)
    assert "host h1: no Docker engine at" in str(done.exception)
    assert "nothing was started" in str(done.exception)
    assert remembered(tmp_path / "cache", "x") is None


@pytest.mark.parametrize("with_other_hosts", [False, True])
def test_a_lab_that_is_on_other_hosts_is_not_started_over(tmp_path: Path, monkeypatch, with_other_hosts) -> None:
    monkeypatch.setattr(run, "run_lab", lambda *_, **__: pytest.fail("a lab was started"))
    remember(tmp_path / "cache", "x", hosts_file(tmp_path, "h1", "h2"))
    done = call("run", *(("--hosts", hosts_file(tmp_path, "h1", "h3")) if with_other_hosts else ()))
    assert isinstance(done.exception, LabError)
    assert str(done.exception) == (
        "lab 'x' was started on h1, h2 and is still there: make down LAB=x, or use another LAB; where a host never "
        "comes back: make down LAB=x HOSTS=FILE, with a file without it"
    )


def test_down_removes_it_from_all_of_its_hosts_without_being_told_and_forgets_them(tmp_path: Path, two) -> None:
    remember(tmp_path / "cache", "x", hosts_file(tmp_path, "h1", "h2"))
    done = call("down")
    assert done.exit_code == 0, done.output
    assert {
        f"removed container flumelab-x-{what}" for what in ("probe on h1", "client-1 on h1", "client-2 on h2")
    } < set(done.stdout.splitlines())
    assert all(not docker.containers for docker in two.values())
    assert remembered(tmp_path / "cache", "x") is None


@pytest.mark.parametrize("away", ["h1", "h2"])
def test_down_removes_what_answers_and_remembers_what_does_not(tmp_path: Path, away: str) -> None:
    here = "h2" if away == "h1" else "h1"
    docker = FakeDocker()
    docker.add("flumelab-x-probe", labels=labels("x", "run", "probe"))
    remember(tmp_path / "cache", "x", hosts_file(tmp_path, "h1", "h2"))
    with serving(docker, tmp_path / f"{here}.sock"):
        done = call("down")
        assert isinstance(done.exception, LabError)
        assert f"what lab 'x' has on {away} is left there, as no engine answered" in str(done.exception)
        assert "make down LAB=x" in str(done.exception)
        assert not docker.containers
        assert f"Without host {away}: " in done.stderr
    assert remembered(tmp_path / "cache", "x") is not None
