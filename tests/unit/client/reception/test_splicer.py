"""What is put where the stream was cut, read back by the project's own parser of transport packets."""

from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.splicer import Splicer
from flume.media import mpegts
from support.media.synthetic import VIDEO_PID, TsWriter

START = 4_000_000_000  # an RTP timestamp that will wrap


def packets(data: bytes) -> list[bytes]:
    assert len(data) % 188 == 0
    return [data[start : start + 188] for start in range(0, len(data), 188)]


def watched() -> Splicer:
    splicer = Splicer()
    writer = TsWriter()
    for number in range(5):
        assert splicer.before(START + number * 3600, memoryview(writer.frame()), number * 0.04) == b""
    return splicer


def test_before_the_first_clock_there_is_nothing_to_say() -> None:
    assert Splicer().before(0, memoryview(TsWriter().frame()), 10.0) == b""
    assert Splicer().ending() == b""


def test_after_a_pause_two_clock_packets_carry_the_time_of_what_follows() -> None:
    splicer = watched()
    writer = TsWriter()
    first_pcr = next(pcr for packet in packets(writer.frame()) if (pcr := mpegts.read_pcr(packet)) is not None)
    primer = packets(splicer.before((START + 4 * 3600 + 900_000) & 0xFFFFFFFF, memoryview(writer.frame()), 20.0))
    assert len(primer) == 2
    for packet in primer:
        assert packet[0] == 0x47
        assert mpegts.pid_of(packet) == VIDEO_PID
        assert not mpegts.has_payload(packet)
        # The PCR of frame 4 and 10 s more, at 27 MHz.
        assert mpegts.read_pcr(packet) == first_pcr + round((4 * 0.04 + 10) * 27_000_000)


def test_a_step_of_the_timestamps_is_a_cut_as_well() -> None:
    splicer = watched()
    assert splicer.before(START + 4 * 3600 - 45_000, memoryview(TsWriter().frame()), 0.2) != b""


def test_another_server_s_clock_is_forgotten() -> None:
    splicer = watched()
    splicer.forget()
    assert splicer.before(7, memoryview(b""), 100.0) == b""


def test_the_ending_is_two_units_of_delimiters_on_the_video_s_pid() -> None:
    ending = packets(watched().ending())
    assert len(ending) == 2
    counters = []
    for packet in ending:
        assert mpegts.pid_of(packet) == VIDEO_PID
        assert mpegts.starts_unit(packet)
        payload = packet[mpegts.payload_offset(packet) :]
        assert payload.startswith(b"\0\0\1\xe0")
        assert payload.endswith(b"\0\0\0\1\x09\xf0" * 2)
        counters.append(packet[3] & 15)
    assert counters[1] == (counters[0] + 1) % 16


@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=1400), st.floats(0, 9)), max_size=20))
def test_arbitrary_payloads_never_raise(arrivals: list[tuple[int, bytes, float]]) -> None:
    splicer, now_s = Splicer(), 0.0
    for timestamp, payload, wait_s in arrivals:
        now_s += wait_s
        assert len(splicer.before(timestamp, memoryview(payload), now_s)) in {0, 376}
    assert len(splicer.ending()) in {0, 376}
