"""Instances of the lab kernel that no lab uses."""

from collections.abc import Iterator

import pytest

from flume.lab.kernel import boot
from flume.lab.kernel.instance import MAX_NUMBER, KernelInstance


@pytest.fixture(scope="module")
def instance() -> Iterator[KernelInstance]:
    """The instance whose kernel the tests of one file share; nothing of it is left afterwards."""
    found = KernelInstance(MAX_NUMBER)
    yield found
    with boot.locked(found):
        boot.clean_up(found)


@pytest.fixture
def free_instance() -> Iterator[KernelInstance]:
    """An instance for a test that needs no running kernel."""
    found = KernelInstance(MAX_NUMBER - 1)
    yield found
    boot.clean_up(found)
