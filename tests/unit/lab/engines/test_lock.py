"""The lock of a lab: on the engine, of one owner, and taken over only from an owner that is provably dead."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from flume.errors import LabError
from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import labels
from flume.lab.engines import lock
from flume.lab.engines.lock import (
    Owner,
    life,
    only_one,
    remove_ended,
    remove_left_over,
    temporary_lab,
    this_process,
)
from support.labs.fake_docker import FakeDocker, serving

IMAGE = "flumelab/probe"


@pytest.fixture
def docker() -> FakeDocker:
    return FakeDocker()


@pytest.fixture
def engine(docker: FakeDocker, tmp_path: Path) -> Iterator[Engine]:
    with serving(docker, tmp_path / "docker.sock") as endpoint, Engine.connect(endpoint) as engine:
        yield engine


def owned(engine: Engine, lab: str, owner: Owner) -> None:
    """Make the lock of *lab* as *owner* does."""
    assert engine.locks.create(lab, msgspec.json.encode(owner).decode(), image=IMAGE)


def dead() -> Owner:
    """Return a process of this host that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return msgspec.structs.replace(this_process(), pid=child.pid, started=1)


def test_while_a_run_holds_the_lock_another_is_told_whose_it_is(engine, docker, tmp_path, monkeypatch):
    """Also one with another folder for temporary files, which once was where the lock was."""
    with only_one(engine, "n", image=IMAGE):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with pytest.raises(LabError) as caught, only_one(engine, "n", image=IMAGE):
            pytest.fail("two at once")
        me = this_process()
        assert f"another run of lab 'n' is under way (process {me.pid} of {me.user} on {me.host}, since " in str(
            caught.value
        )
        with only_one(engine, "another", image=IMAGE):
            pass
    assert docker.containers == {}
    with only_one(engine, "n", image=IMAGE):
        pass


def test_the_lock_is_no_object_of_the_lab(engine):
    """`make down` of it beside the run does not let a third one in."""
    with only_one(engine, "n", image=IMAGE):
        assert engine.objects(lab="n") == []
        assert remove_left_over(engine, "n") == ([], [str(lock._owner(engine.locks.find("n")[0]))])
        with pytest.raises(LabError), only_one(engine, "n", image=IMAGE):
            pass


def test_the_lock_of_a_killed_run_is_taken_over(engine, docker):
    owned(engine, "n", dead())
    with only_one(engine, "n", image=IMAGE):
        assert len(docker.containers) == 1
    assert docker.containers == {}


def test_down_removes_the_lock_of_a_killed_run(engine, docker):
    owned(engine, "n", dead())
    owned(engine, "other", dead())
    removed, living = remove_left_over(engine, "n")
    assert (len(removed), living) == (1, [])
    assert [held.lab for held in engine.locks.find()] == ["other"]


@pytest.mark.parametrize("text", ["", "rubbish", '{"pid": 1}', '{"pid":' + 5000 * "["])
def test_a_lock_of_an_unknown_owner_is_not_taken_over_and_can_be_removed(engine, docker, text):
    assert engine.locks.create("n", text, image=IMAGE)
    said = r"its owner is not known.*if it is no more: make down LAB=n"
    with pytest.raises(LabError, match=said), only_one(engine, "n", image=IMAGE):
        pass
    remove_left_over(engine, "n")
    assert docker.containers == {}


def test_of_many_that_take_over_at_the_same_time_one_gets_the_lock(engine, docker, tmp_path):
    """The one that comes late removes the dead owner's lock by its id, and never the lock of the one before."""
    owned(engine, "n", dead())
    barrier = threading.Barrier(4, timeout=30)
    (old,) = docker.containers

    def together(request: str) -> None:
        if request == f"DELETE /containers/{old}":  # each has seen the dead owner before the first one removes its lock
            barrier.wait()

    docker.before = together
    inside: list[int] = []
    most: list[int] = []
    leave = threading.Event()
    refused = []

    def run(number: int) -> None:
        with Engine.connect(engine.endpoint) as own:
            try:
                with only_one(own, "n", image=IMAGE):
                    inside.append(number)
                    most.append(len(inside))
                    leave.wait(30)
                    inside.remove(number)
            except LabError as error:
                refused.append(str(error))
                if len(refused) == 3:
                    leave.set()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(refused)) == ([1], 3)
    assert docker.containers == {}


def test_what_a_killed_measurement_left_is_removed_and_nothing_else(engine, docker):
    """A temporary lab of a living process stays, and so does a lab with a name of its own."""
    for name, owner in (
        ("netem-0123abcd", dead()),
        ("calibration-0123abcd", this_process()),
        ("netem-x", dead()),
        ("n", dead()),
    ):
        owned(engine, name, owner)
        docker.add(f"flumelab-{name}-probe", labels=labels(name, "run", "probe"))
    assert remove_ended(engine) == ["container flumelab-netem-0123abcd-probe"]
    assert sorted(held.lab for held in engine.locks.find()) == ["calibration-0123abcd", "n", "netem-x"]
    assert len(engine.objects()) == 3
    with temporary_lab(engine, "netem", image=IMAGE) as lab:
        docker.add(f"flumelab-{lab}-probe", labels=labels(lab, "run", "probe"))
        assert remove_ended(engine) == []
    assert engine.objects(lab=lab) == []
    assert len(engine.locks.find()) == 3


HERE = Owner(user="ann", host="desk", pid=1, since_s=0, started=5, boot="b", namespace="pid:[1]", machine="m")


@pytest.mark.parametrize(
    ("changed", "local", "expected"),
    [
        ({}, True, "alive"),
        ({"host": "other", "boot": "c"}, True, "unknown"),
        ({"namespace": "pid:[2]"}, True, "unknown"),
        ({"boot": "c"}, True, "dead"),
        ({"boot": "c"}, False, "unknown"),
        ({"boot": "c", "machine": ""}, True, "unknown"),
        ({"boot": ""}, True, "unknown"),
    ],
    ids=["here", "another host", "another container", "before a reboot", "its clone", "no machine id", "not Linux"],
)
def test_only_of_this_host_it_can_be_known_that_an_owner_is_dead(monkeypatch, changed, local, expected):
    monkeypatch.setattr(lock, "has_gone", lambda _pid, _started: False)
    assert life(msgspec.structs.replace(HERE, **changed), HERE, local=local) == expected
    if expected == "alive":
        monkeypatch.setattr(lock, "has_gone", lambda _pid, _started: True)
        assert life(HERE, HERE, local=local) == "dead"
