"""Labs whose links pass through a wire."""

import os
from collections.abc import Iterator

import pytest

from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from support.labs.containers import load_layout
from support.labs.wired import WiredLab, start_wired


@pytest.fixture(scope="session")
def wire_engine(engine: Engine) -> Engine:
    """The engine with the image of the wire. On an engine that is not x86-64 this is a failure, not a skip."""
    images.ensure_images(engine, say=print, wire=True)
    return engine


def _wired(engine: Engine, name: str, clients: int) -> Iterator[WiredLab]:
    try:
        yield start_wired(engine, load_layout(), name, clients=clients)
    finally:
        engine.remove_lab(name)


@pytest.fixture(scope="module")
def wired(wire_engine: Engine) -> Iterator[WiredLab]:
    """Five clients behind a wire, for the tests of one file; they leave the links as they were."""
    yield from _wired(wire_engine, f"test-{os.getpid()}-wired", 5)


@pytest.fixture
def own_wired(wire_engine: Engine) -> Iterator[WiredLab]:
    """Two clients behind a wire that the test may break."""
    yield from _wired(wire_engine, f"test-{os.getpid()}-broken", 2)
