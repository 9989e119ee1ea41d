"""What the tests on a real Docker engine share."""

from collections.abc import Iterator

import pytest

from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.engines import prepare
from flume.lab.testcard import ensure_test_card


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine that labs without netem use, with the images of this tree. Its absence is a failure, not a skip."""
    with prepare.prepare(print) as found:
        # Whichever test is the first of its process: a run that makes it says so.
        ensure_test_card(checkout.cache(), say=print, interactive=False)
        yield found
