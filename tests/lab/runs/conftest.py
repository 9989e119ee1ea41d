"""Labs for the tests: each has a name of its own and is gone afterwards."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.engines import prepare
from support.labs.labs import LabUnderTest


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine that has the images of this very tree."""
    with prepare.prepare(lambda _line: None) as found:
        yield found


def _lab(engine: Engine, artifacts: Path) -> Iterator[LabUnderTest]:
    lab = LabUnderTest(f"test-{secrets.token_hex(4)}", artifacts)
    yield lab
    lab.close()
    engine.remove_lab(lab.name)


@pytest.fixture
def lab(engine, tmp_path) -> Iterator[LabUnderTest]:
    """A lab for one test."""
    yield from _lab(engine, tmp_path / "artifacts")


@pytest.fixture(scope="module")
def shared_lab(engine, tmp_path_factory) -> Iterator[LabUnderTest]:
    """A lab for the tests of one file, which run in their order."""
    yield from _lab(engine, tmp_path_factory.mktemp("lab") / "artifacts")
