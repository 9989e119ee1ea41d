"""What the tests of the engine share."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Topology
from support.labs.containers import load_layout
from support.residue.docker_objects import LabWatch

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def layout() -> Topology:
    """The topology in compose/lab.yaml."""
    return load_layout()


@pytest.fixture
def new_lab(engine: Engine) -> Iterator[Callable[[], str]]:
    """Return a function that makes names of labs; the labs with these names are removed afterwards."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test-{os.getpid()}-{next(_numbers)}")
        return names[-1]

    yield make
    for name in names:
        engine.remove_lab(name)


@pytest.fixture
def watch(engine: Engine) -> Iterator[Callable[[str], LabWatch]]:
    """Return a function that watches the lab of a name from now on, to say what is left of it."""
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(LabWatch(engine, name))


@pytest.fixture
def lab(new_lab: Callable[[], str]) -> str:
    """The name of one lab."""
    return new_lab()
