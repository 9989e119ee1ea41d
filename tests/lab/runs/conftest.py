"""Labs for the tests: each has a name of its own and is removed afterwards."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab.containers.engine import Engine
from support.labs.labs import LabUnderTest


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
