"""Raw MPEG-TS: time from PCRs, loss from sums."""

from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.raw_ts import RawTsClock, RawTsCount
from flume.media import mpegts


def packet(pcr: int | None) -> bytes:
    body = bytearray([mpegts.SYNC_BYTE, 1, 0, 0x20 if pcr is not None else 0x10, 183, 0x10] + [0xFF] * 182)
    if pcr is not None:
        mpegts.write_pcr(body, pcr)
    return bytes(body)


def test_the_time_is_that_of_the_latest_pcr() -> None:
    clock = RawTsClock()
    assert clock.timestamp_untrusted(packet(None) * 7) == 0
    assert clock.timestamp_untrusted(packet(None) * 3 + packet(300 * 90_000) + packet(None) * 3) == 90_000
    assert clock.timestamp_untrusted(packet(None) * 7) == 90_000
    assert clock.timestamp_untrusted(packet(300 * ((1 << 32) + 5))) == 5, "33 bits become 32, as in RTP"


@given(st.binary(max_size=400))
def test_any_bytes_have_a_time(data: bytes) -> None:
    assert 0 <= RawTsClock().timestamp_untrusted(data) < 1 << 32


def arrive(count: RawTsCount, datagrams: int) -> None:
    for _ in range(datagrams):
        count.add()


def test_a_reply_that_overtakes_its_datagrams_is_no_loss() -> None:
    count = RawTsCount()
    count.begin_window()
    arrive(count, 94)
    assert count.lost == 0
    count.end_window(100)
    assert count.lost == 6, "so far"
    arrive(count, 6)
    assert count.lost == 0
    count.begin_window()
    arrive(count, 10)
    count.end_window(13)
    assert (count.lost, count.windows) == (3, 2)
    count.begin_window()
    arrive(count, 50)
    assert count.lost == 3, "a window that is open has no end to compare with"
    count.abandon_window()
    count.abandon_window()
    assert count.lost == 3
    count.begin_window()
    count.end_window(0)
    assert count.lost == 3
