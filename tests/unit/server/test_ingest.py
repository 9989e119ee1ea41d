"""The ingest's queue at the moments when both of its threads want it."""

from collections import deque

from flume.server.ingest import Ingest
from flume.server.source import SourceEnded
from support.synthetic import SyntheticSource


def filled(source: SyntheticSource) -> Ingest:
    ingest = Ingest(source)
    while (ingest.lead_s()) < 0.5:
        ingest._read_once()
    return ingest


def test_a_live_source_may_be_stopped_while_the_sender_takes():
    ingest = filled(SyntheticSource(live=True))

    class Contested(deque):
        """Whose owner stops the source between the sender's two looks at it."""

        def __getitem__(self, index):
            if not ingest.restarts:
                ingest._stop_live()
            return super().__getitem__(index)

    ingest._queue = Contested(ingest._queue)
    assert ingest.take(1000.0)
    assert ingest.head_s() is None
    assert ingest.lead_s() == 0.0


def test_a_source_that_failed_is_told_from_one_that_ended():
    for failed in (False, True):
        ingest = Ingest(SyntheticSource())
        ingest._handle(SourceEnded("because", failed))
        assert (ingest.ended, ingest.failed, ingest.state) == ("because", failed, "ended")
