"""Both paths from datagrams to units: what they accept, in which order they hand out, and what they count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.jitter import ArrivalStatistics
from flume.client.reception.payload_path import PayloadPath, RawTsPath, RtpPath
from flume.media import mpegts, rtp

SSRC = 0x1234_5678
REORDER_MS = 60.0


def datagram(sequence: int, *, ssrc: int = SSRC, timestamp: int = 7) -> bytes:
    header = bytearray(rtp.HEADER_BYTES)
    rtp.pack_header_into(header, 0, sequence=sequence, timestamp=timestamp, ssrc=ssrc)
    return bytes(header) + sequence.to_bytes(4, "big")


def raw(number: int, *, pcr: int | None = None) -> bytes:
    packets = mpegts.NULL_PACKET * 6
    return bytes(mpegts.NULL_PACKET if pcr is None else mpegts.pcr_packet(0x100, pcr, 0)) + packets + bytes([number])


def rtp_path() -> RtpPath:
    path = RtpPath(reorder_ms=REORDER_MS, capacity=64)
    path.begin_session(SSRC, 0.0)
    return path


def raw_path() -> RawTsPath:
    path = RawTsPath()
    path.begin_session(SSRC, 0.0)
    return path


def numbers(path: PayloadPath, now_s: float) -> list[int]:
    return [int.from_bytes(unit.payload[:4], "big") for unit in path.take(now_s)]


def test_rtp_is_handed_out_in_order_with_its_timestamps() -> None:
    path = rtp_path()
    path.begin_window(5, 0.0)
    for sequence in (5, 7, 6):
        assert path.push_untrusted(datagram(sequence, timestamp=sequence * 900), 0.01)
    assert [unit.timestamp for unit in path.take(0.02)] == [4500, 5400, 6300]
    assert path.deadline_s() is None
    assert path.statistics().reordered == 1


def test_rtp_waits_for_a_missing_number_and_counts_it_as_lost() -> None:
    path = rtp_path()
    path.begin_window(5, 0.0)
    path.push_untrusted(datagram(5), 0.0)
    path.push_untrusted(datagram(7), 0.01)
    assert numbers(path, 0.02) == [5]
    assert path.deadline_s() == pytest.approx(0.01 + REORDER_MS / 1000)
    assert numbers(path, 0.08) == [7]
    path.end_window(8, 4, 0.1)
    path.take(1.0)
    seen = path.statistics()
    assert (seen.lost, seen.windows, dict(seen.loss_runs)) == (2, 1, {1: 2})


def test_an_empty_rtp_window_has_no_last_number() -> None:
    path = rtp_path()
    path.begin_window(5, 0.0)
    path.end_window(1234, 0, 0.1)  # the number of a window before
    path.take(1.0)
    assert path.statistics().lost == 0


@pytest.mark.parametrize("data", [b"", b"not rtp", bytes(1328), datagram(5, ssrc=SSRC + 1)])
def test_the_rtp_path_refuses_what_is_not_its_stream(data: bytes) -> None:
    path = rtp_path()
    path.begin_window(5, 0.0)
    assert not path.push_untrusted(data, 0.0)
    assert path.take(1.0) == []


def test_a_second_session_may_have_another_ssrc() -> None:
    path = rtp_path()
    path.begin_session(SSRC + 1, 1.0)
    assert not path.push_untrusted(datagram(5), 1.0)
    assert path.push_untrusted(datagram(5, ssrc=SSRC + 1), 1.0)


def test_the_jitter_is_that_of_the_window() -> None:
    path = rtp_path()
    path.begin_window(0, 0.0)
    for sequence in range(40):
        late_s = 0.004 if sequence % 2 else 0.0
        path.push_untrusted(datagram(sequence, timestamp=sequence * 900), sequence * 0.01 + late_s)
    before = path.jitter_ms()
    assert before > 1
    path.begin_window(40, 100.0)
    path.push_untrusted(datagram(40, timestamp=40 * 900), 100.0)
    assert path.jitter_ms() == before, "a pause is not jitter"


def test_raw_ts_is_handed_out_as_it_arrives_with_the_clock_of_its_pcrs() -> None:
    path = raw_path()
    path.begin_window(None, 0.0)
    for number in (1, 3, 2):
        assert path.push_untrusted(raw(number, pcr=number * 27_000_000), 0.0)
    units = path.take(0.0)
    assert [unit.timestamp for unit in units] == [90_000, 270_000, 180_000]
    assert [unit.payload[-1] for unit in units] == [1, 3, 2]
    assert path.take(1.0) == []
    assert path.deadline_s() is None


def test_raw_ts_knows_its_loss_when_the_window_ends() -> None:
    path = raw_path()
    path.begin_window(None, 0.0)
    for number in range(8):
        path.push_untrusted(raw(number), 0.0)
    assert path.statistics() == ArrivalStatistics(windows=1)
    path.end_window(None, 10, 1.0)
    assert path.statistics() == ArrivalStatistics(windows=1, lost=2)
    path.begin_window(None, 2.0)
    path.push_untrusted(raw(9), 2.0)
    path.abandon_window(3.0)
    assert path.statistics() == ArrivalStatistics(windows=2, lost=2)


@pytest.mark.parametrize("data", [b"", b"not ts", datagram(5)])
def test_the_raw_path_refuses_what_does_not_begin_with_a_packet(data: bytes) -> None:
    path = raw_path()
    assert not path.push_untrusted(data, 0.0)
    assert path.take(1.0) == []


@given(st.lists(st.binary(max_size=300)), st.booleans())
def test_arbitrary_datagrams_never_raise(arrivals: list[bytes], is_raw: bool) -> None:
    path: PayloadPath = raw_path() if is_raw else rtp_path()
    accepted = sum(path.push_untrusted(data, position * 0.01) for position, data in enumerate(arrivals))
    assert len(path.take(1000.0)) <= accepted
