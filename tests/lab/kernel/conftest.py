"""A lab kernel of the tests' own, at a place that no lab uses."""

from collections.abc import Iterator

import pytest

from flume.lab.kernel import boot
from flume.lab.kernel.instance import MAX_NUMBER, Place


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The place of the kernel that the tests of one file share; nothing is left at it."""
    found = Place(MAX_NUMBER)
    yield found
    with boot.locked(found):
        boot.clean_up(found)


@pytest.fixture
def free_place() -> Iterator[Place]:
    """A place for a test that needs no kernel at it."""
    found = Place(MAX_NUMBER - 1)
    yield found
    boot.clean_up(found)
