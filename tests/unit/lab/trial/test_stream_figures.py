"""The transport stream that arrived: what was lost is an error at its packet, a pause and a changed order are none."""

from flume.lab.evidence.facts import Counters, MediaDatagram, TapFacts
from flume.lab.trial.verdict import Report
from flume.measures.ts.values import StreamFigures
from support.captures.judging import tour
from support.captures.viewing import measures, record, watched
from support.captures.wire import START_S, Wire

PACKETS = 7


def packets(identity: bytes) -> bytes:
    """Seven packets of one PID. Their counters go on from datagram to datagram."""
    first = PACKETS * int.from_bytes(identity, "big")
    return b"".join(bytes((0x47, 0x01, 0x00, 0x10 | (first + at) % 16)) + bytes(184) for at in range(PACKETS))


def stream_of(report: Report, client: int = 1) -> StreamFigures:
    found = measures(report, client).stream
    assert found is not None
    return found


def two_seconds() -> Wire:
    return Wire().connect(1).stream(2, 1).last("interrupt", 1)


def judged(wire: Wire, tap: TapFacts, lost: int = 0) -> StreamFigures:
    counters = Counters(lost_on_link=lost)
    return stream_of(watched(wire, {1: record(wire, 1)}, taps={1: tap}, counters=counters, packets=packets))


def test_a_clean_stream() -> None:
    wire = two_seconds()
    found = judged(wire, wire.client(1))
    assert (found.packets, found.counts["1.4"], found.counts["1.1"]) == (100 * PACKETS, 0, 0)


def test_what_was_lost_is_found_at_its_packet_and_time() -> None:
    wire = two_seconds()
    found = judged(wire, wire.client(1, lose=frozenset({20, 60, 61})), lost=3)
    assert (found.packets, found.counts["1.4"]) == (97 * PACKETS, 2)
    gaps = [one for one in found.findings if one.indicator == "1.4"]
    assert [one.packet for one in gaps] == [20 * PACKETS, 59 * PACKETS]
    times_s = [round(wire.media[at].time_s - START_S, 3) for at in (21, 62)]
    assert [round(one.time_s or 0, 3) for one in gaps] == times_s


def test_a_pause_is_no_error() -> None:
    wire = tour()
    report = watched(wire, {client: record(wire, client) for client in (1, 2)}, packets=packets)
    for client in (1, 2):
        assert stream_of(report, client).counts["1.4"] == 0


def test_order_and_duplicates_are_put_right_by_rtp() -> None:
    wire = two_seconds()
    tap = wire.client(1)
    media: list[MediaDatagram] = [one._replace(time_s=one.time_s + 0.03 * (one.sequence == 30)) for one in tap.media]
    media.append(media[40]._replace(time_s=media[40].time_s + 0.001))
    found = judged(wire, tap._replace(media=tuple(sorted(media, key=lambda one: one.time_s))))
    assert (found.packets, found.counts["1.4"]) == (100 * PACKETS, 0)


def test_without_bytes_or_arrivals_nothing_is_said() -> None:
    wire = two_seconds()
    assert measures(watched(wire, {1: record(wire, 1)})).stream is None
    nothing = wire.client(1, lose=frozenset(range(100)))
    report = watched(wire, {1: None}, taps={1: nothing}, counters=Counters(lost_on_link=100), packets=packets)
    assert measures(report).stream is None
