"""Removing a part of a lab from one engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import labels
from support.labs import fake_docker
from support.labs.fake_docker import FakeDocker, serving


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeDocker, Engine]]:
    """An engine with a container of lab x, and a network that it never removes."""
    marks = labels("x", "run", "network")
    monkeypatch.setitem(fake_docker.CONSTANT, "networks", [{"Name": "flumelab-x-network", "Id": "1", "Labels": marks}])
    docker = FakeDocker()
    docker.add("flumelab-x-probe", labels=labels("x", "run", "probe"))
    with serving(docker, tmp_path / "docker.sock") as endpoint, Engine.connect(endpoint) as engine:
        yield docker, engine


def test_of_the_kinds_that_are_not_asked_for_nothing_is_removed_and_none_is_waited_for(docker) -> None:
    """The network goes later, when the containers of other hosts have gone."""
    fake, engine = docker
    assert engine.remove_lab("x", kinds=["container"], timeout_s=3) == ["container flumelab-x-probe"]
    assert not fake.containers
    assert not any("DELETE /networks" in one for one in fake.requests)
    looks = sum(one == "GET /networks" for one in fake.requests)
    assert looks <= 4, "before, after the containers, and at the end; waiting would look ten times a second"


def test_what_was_asked_for_and_stays_is_named(docker) -> None:
    _, engine = docker
    with pytest.raises(EngineError, match="the Docker engine could not remove network flumelab-x-network"):
        engine.remove_lab("x", kinds=["network"], timeout_s=0.2)
