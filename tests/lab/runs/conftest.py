"""Labs for the tests: each has a name of its own and is removed afterwards."""

from collections.abc import Iterator

import pytest

from support.labs.labs import LabUnderTest, new_lab


@pytest.fixture
def lab(engine, tmp_path) -> Iterator[LabUnderTest]:
    """A lab for one test."""
    with new_lab(engine, tmp_path / "artifacts") as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(engine, tmp_path_factory) -> Iterator[LabUnderTest]:
    """A lab for the tests of one file, which run in their order."""
    with new_lab(engine, tmp_path_factory.mktemp("lab") / "artifacts") as lab:
        yield lab
