"""What a link dropped, in datagrams of the stream: other packets in the kernel's one counter are taken out of it."""

import pytest

from flume.lab.evidence.facts import Counters, MediaDatagram, OtherPacket
from flume.lab.trial.link_losses import lost_datagrams
from flume.lab.trial.matching import Matching

SERVER, CLIENT, STRANGER = "198.18.0.2", "198.18.0.11", "198.18.0.1"
READ_S = 50.0


def segment(identity: bytes, time_s: float = 10.0, *, source: str = SERVER) -> OtherPacket:
    return OtherPacket(time_s, source, CLIENT, identity, is_tcp=True)


def lost(
    packets: int,
    left: list[OtherPacket],
    came: list[OtherPacket],
    *,
    missing: int = 0,
    until_s: float | None = READ_S,
) -> int:
    datagram = MediaDatagram(1.0, (SERVER, 5004), (CLIENT, 50000), b"", 1, 7, 1328, 0)
    counters = Counters(lost_on_link=packets, control_until_s=until_s)
    return lost_datagrams(counters, left, came, Matching((), (datagram,) * missing, 0, ()))


A, B, C = segment(b"a"), segment(b"b"), segment(b"c")


def test_without_other_packets_every_drop_is_a_datagram():
    assert lost(3, [], [], missing=3) == 3


def test_segments_that_are_missing_between_the_taps_are_no_datagrams():
    assert lost(5, [A, B, C], [B], missing=3) == 3


def test_a_segment_that_was_sent_twice_and_arrived_once_was_lost_once():
    assert lost(1, [A, A, B], [A, B]) == 0


def test_a_segment_that_arrived_twice_is_no_gain():
    assert lost(1, [A, B], [A, A]) == 0


def test_a_damaged_segment_is_not_lost():
    assert lost(1, [A, B], [segment(b"?")], missing=0) == 0


def test_segments_that_left_after_the_counter_was_read_are_not_in_it():
    late = segment(b"late", READ_S + 0.1)
    assert lost(1, [A, late], []) == 0
    assert lost(1, [A, late], [late._replace(time_s=READ_S + 0.2)]) == 0


def test_a_link_loses_no_fewer_than_none_where_others_are_missing_for_another_cause():
    """A capture ended before these arrived."""
    assert lost(0, [A, B], []) == 0


def test_where_control_passes_beside_the_link_its_segments_are_not_looked_at():
    merged = segment(b"a and b in one")
    assert lost(2, [A, B, C], [merged], missing=2, until_s=None) == 2


def test_other_packets_than_control_always_count():
    echo = OtherPacket(10.0, SERVER, CLIENT, b"echo")
    assert lost(3, [echo, A], [], missing=2, until_s=None) == 2


@pytest.mark.parametrize("until_s", [None, READ_S])
def test_packets_of_other_hosts_change_nothing(until_s: float | None):
    strange = [segment(b"s", source=STRANGER), OtherPacket(10.0, STRANGER, CLIENT, b"t")]
    assert lost(1, [A, B], [A, B, *strange], missing=1, until_s=until_s) == 1
