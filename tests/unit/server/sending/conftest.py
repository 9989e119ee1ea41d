"""Fan-outs for the tests of sending."""

import pytest

from flume.server.sending.group_sender import SendLoop, UringSender
from support.servers.fanout_harness import FanoutHarness


@pytest.fixture(params=[SendLoop, UringSender], ids=["loop", "io_uring"])
def harness(request):
    """With either sender; real sockets only."""
    harness = FanoutHarness(make_sender=request.param)
    yield harness
    harness.close()


@pytest.fixture
def loop_harness():
    """For sockets that are none."""
    harness = FanoutHarness()
    yield harness
    harness.close()
