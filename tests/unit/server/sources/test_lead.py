"""The queue between the ingest thread and the sender thread: order, epochs and length."""

import pytest

from flume.media.datagrams import Datagram
from flume.server.sources.lead import Lead


def lead_of(datagrams: list[Datagram]) -> Lead:
    lead = Lead()
    lead.extend(datagrams)
    return lead


def plain(*due_s: float) -> list[Datagram]:
    return [Datagram(bytes(1), each, random_access=False) for each in due_s]


def test_due_datagrams_are_taken_in_order_and_the_rest_stays():
    datagrams = plain(0.0, 0.1, 0.1, 0.2, 0.5)
    lead = lead_of(datagrams)
    assert lead.take(-0.1) == []
    assert lead.take(0.1) == datagrams[:3]
    assert lead.take(0.1) == []
    assert (len(lead), lead.head_s()) == (2, 0.2)
    assert lead.seconds() == pytest.approx(0.3)
    assert lead.take(9.0) == datagrams[3:]
    assert (len(lead), lead.head_s(), lead.seconds()) == (0, None, 0.0)
    assert lead.epoch == 0


def test_new_tables_are_announced_before_they_are_given():
    old, new, last = (Datagram(bytes(1), number / 10, number == 2, number == 1) for number in range(3))
    lead = lead_of([old, new, last])
    before = lead.epoch
    assert lead.take(10.0) == [old]
    assert lead.epoch != before
    before = lead.epoch
    assert lead.take(10.0) == [new, last]
    assert lead.epoch == before


def test_tables_that_are_not_due_are_not_announced():
    lead = lead_of([Datagram(bytes(1), 1.0, random_access=False, new_tables=True)])
    assert lead.take(0.5) == []
    assert lead.epoch == 0


def test_each_clearing_is_an_epoch_of_its_own():
    lead = lead_of(plain(0.0, 0.1))
    seen = {lead.epoch}
    for _ in range(3):
        lead.clear()
        assert len(lead) == 0
        seen.add(lead.epoch)
        lead.extend([Datagram(bytes(1), 0.0, random_access=False, new_tables=True)])
        assert lead.take(1.0) == []
        seen.add(lead.epoch)
    assert len(seen) == 7
