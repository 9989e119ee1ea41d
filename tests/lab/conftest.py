"""What the tests on a real Docker engine share."""

from collections.abc import Iterator

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.engines import prepare


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine that labs without netem use, with the images of this tree. Its absence is a failure, not a skip."""
    with prepare.prepare(print) as found:
        yield found
