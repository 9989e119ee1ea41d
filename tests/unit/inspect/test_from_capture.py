"""Faults in a capture of which every frame is known: each is found at its frame, and nothing else is."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flume.capture.rtp import rtp_untrusted
from flume.inspect import stream_table
from flume.inspect.from_capture import inspect_capture
from flume.inspect.measure_names import MEASURES
from flume.inspect.rtp_meter import RtpMeter
from flume.inspect.stream_table import MOST_STREAMS, Datagram, StreamTable
from flume.inspect.values import Inspection, Stream
from flume.measures.ts.values import Thresholds
from support.captures.pcap import START_S, Pcap, in_fragments
from support.captures.rtp_streams import (
    STEP_S,
    Sent,
    clean,
    edited,
    frame,
    moved,
    renumbered,
    repeated,
    rtp_header,
    set_byte,
    without,
    write_pcap,
    write_pcapng,
)

CLEAN = clean()
HEADER = 12


def inspect(path: Path) -> Inspection:
    return inspect_capture(path, Thresholds(), lambda _done, _total: None)


def found(stream: Stream) -> list[tuple[str, int]]:
    """What is wrong: kind and frame of RTP's findings, indicator and packet of those of the transport stream."""
    wire = [] if stream.rtp is None else [(each.kind, each.packet) for each in stream.rtp.findings]
    return wire + ([] if stream.ts is None else [(each.indicator, each.packet) for each in stream.ts.findings])


def of_wire(stream: Stream) -> list[tuple[str, int]]:
    return [(kind, packet) for kind, packet in found(stream) if kind.isalpha()]


@pytest.mark.parametrize("write", [write_pcap, write_pcapng], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("first", [0, 65_400], ids=["numbers from 0", "numbers that wrap"])
def test_a_clean_stream_has_its_figures_and_no_finding(tmp_path: Path, write: Callable, first: int):
    result = inspect(write(tmp_path / "tap", clean(first=first)).path)
    (stream,) = result.streams
    assert (result.problems, result.others, result.packets) == ([], {}, 300)
    assert found(stream) == []
    assert (stream.transport, stream.source, stream.destination, stream.ssrc, stream.payload_type) == (
        "rtp",
        "198.18.0.2:5004",
        "198.18.0.11:50000",
        "00000007",
        33,
    )
    assert stream.rtp is not None
    assert stream.arrival is not None
    assert stream.ts is not None
    assert (stream.rtp.expected, stream.rtp.lost, stream.rtp.duplicates, stream.rtp.reordered) == (300, 0, 0, 0)
    assert stream.rtp.jitter_ms == pytest.approx(0, abs=0.01)
    assert stream.arrival.rate_kbit == pytest.approx(1328 * 8 / STEP_S / 1000, rel=1e-6)
    assert stream.arrival.longest_silence_ms == pytest.approx(7, abs=0.01)
    assert stream.arrival.delay_factor_ms == pytest.approx(7, abs=0.1)
    assert stream.arrival.media_loss_rate == 0
    assert stream.ts.packets == 2100


FAULTS: dict[str, tuple[list[Sent], list[tuple[str, int]], dict[str, float]]] = {
    "one lost": (without(CLEAN, 100), [("loss", 101)], {"lost": 1, "longest_run": 1, "media_loss_rate": 7}),
    "three lost in a row": (without(CLEAN, 100, 101, 102), [("loss", 101)], {"lost": 3, "longest_run": 3}),
    "a burst": (
        without(CLEAN, 100, 102, 104),
        [("loss", 101), ("loss", 102), ("loss", 103)],
        {"lost": 3, "burst_pct": 60, "burst_mean": 5},
    ),
    "the first one behind the second": (moved(CLEAN, 0, 1), [("reordered", 2)], {"lost": 0, "reordered": 1}),
    "one came again": (repeated(CLEAN, 50), [("duplicate", 52)], {"lost": 0, "duplicates": 1}),
    "one behind the next": (moved(CLEAN, 50, 51), [("loss", 51), ("reordered", 52)], {"lost": 0, "reordered": 1}),
    "one 40 late": (moved(CLEAN, 50, 90), [("loss", 51), ("reordered", 91)], {"lost": 0, "reordered": 1}),
    "the sender starts again": (
        CLEAN[:100] + [renumbered(CLEAN, place, 20_000 + place)[place] for place in range(100, 300)],
        [("jump", 102)],
        {"lost": 0, "jumps": 1, "strays": 0, "media_loss_rate": 0, "datagrams": 300, "continuity_count_error": 0},
    ),
    "two have swapped": (moved(CLEAN, 50, 51), [("loss", 51), ("reordered", 52)], {"lost": 0, "media_loss_rate": 7}),
    "the sender starts again and every second one is lost": (
        CLEAN[:100] + [renumbered(CLEAN, place, 20_000 + place)[place] for place in range(100, 300, 2)],
        [("jump", 102)] + [("loss", frame) for frame in range(102, 201)],
        {"lost": 99, "jumps": 1, "strays": 0, "longest_run": 1},
    ),
    "a number from elsewhere": (
        renumbered(CLEAN, 100, 40_000),
        [("loss", 102)],
        {"lost": 1, "strays": 1, "datagrams": 299, "media_loss_rate": 7},
    ),
    "the number of the one before": (
        renumbered(CLEAN, 100, 99),
        [("duplicate", 101), ("loss", 102)],
        {"lost": 1, "duplicates": 1},
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_numbers_is_found_at_its_frame(tmp_path: Path, name: str):
    sent, wanted, values = FAULTS[name]
    result = inspect(write_pcap(tmp_path / "tap.pcap", sent).path)
    (stream,) = result.streams
    assert of_wire(stream) == wanted
    assert {measure: MEASURES[measure].value(stream) for measure in values} == pytest.approx(values)
    assert result.problems == []


TS_FAULTS: dict[str, tuple[list[Sent], list[tuple[str, int]]]] = {
    "a wrong sync byte": (edited(CLEAN, 100, set_byte(HEADER + 3 * 188, 0)), [("1.2", 703)]),
    "the transport_error_indicator": (edited(CLEAN, 101, set_byte(HEADER + 188 + 1, 0x81)), [("2.1", 708)]),
    "half a datagram": (edited(CLEAN, 100, lambda data: data[: HEADER + 3 * 188 + 90]), [("1.1", 703)]),
}


@pytest.mark.parametrize("name", TS_FAULTS)
def test_a_fault_in_the_transport_stream_is_found_at_its_packet(tmp_path: Path, name: str):
    sent, wanted = TS_FAULTS[name]
    (stream,) = inspect(write_pcap(tmp_path / "tap.pcap", sent).path).streams
    assert of_wire(stream) == []
    assert found(stream)[: len(wanted)] == wanted


def test_a_late_arrival_is_jitter_of_a_sixteenth_of_it(tmp_path: Path):
    late = [each._replace(time_s=each.time_s + 0.0032 * (place == 299)) for place, each in enumerate(CLEAN)]
    (stream,) = inspect(write_pcap(tmp_path / "tap.pcap", late).path).streams
    assert stream.rtp is not None
    assert stream.rtp.jitter_ms == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("first", [42, 114], ids=["within a second", "across the end of one"])
def test_a_silence_is_delay_factor_wherever_the_second_ends(tmp_path: Path, first: int):
    silent = [each._replace(time_s=each.time_s + 0.4 * (place >= first)) for place, each in enumerate(CLEAN)]
    (stream,) = inspect(write_pcap(tmp_path / "tap.pcap", silent).path).streams
    assert MEASURES["delay_factor_ms"].value(stream) == pytest.approx(407, abs=5)


def test_a_frame_with_a_time_of_its_own_does_not_spoil_the_rest(tmp_path: Path):
    wrong = [each._replace(time_s=each.time_s + 5000 * (place == 20)) for place, each in enumerate(CLEAN)]
    result = inspect(write_pcap(tmp_path / "tap.pcap", wrong).path)
    (stream,), (clean_stream,) = result.streams, inspect(write_pcap(tmp_path / "clean.pcap", CLEAN).path).streams
    assert result.problems == ["its clock went back by 4999993 ms"]
    assert MEASURES["peak_kbit"].value(stream) == MEASURES["peak_kbit"].value(clean_stream)


def test_a_second_ssrc_is_a_second_stream_from_its_frame_on(tmp_path: Path):
    other = [each._replace(time_s=each.time_s + 0.7) for each in clean(20, ssrc=9)]
    result = inspect(write_pcap(tmp_path / "tap.pcap", CLEAN[:100] + other).path)
    assert [(each.number, each.ssrc, each.first_packet) for each in result.streams] == [
        (1, "00000007", 1),
        (2, "00000009", 101),
    ]
    assert [found(each) for each in result.streams] == [[], []]


def test_raw_transport_packets_are_a_stream_without_numbers(tmp_path: Path):
    sent = clean(rtp=False)
    (stream,) = inspect(write_pcap(tmp_path / "tap.pcap", edited(sent, 100, set_byte(0, 0))).path).streams
    assert (stream.transport, stream.rtp, stream.ssrc) == ("udp", None, None)
    assert found(stream) == [("1.2", 700)]
    assert stream.arrival is not None
    assert stream.arrival.media_loss_rate is None


def test_a_raw_packet_before_them_does_not_hide_the_numbers_of_rtp(tmp_path: Path):
    raw = Sent(0.0, clean(1, rtp=False)[0].data[:188])
    result = inspect(write_pcap(tmp_path / "tap.pcap", [raw, *without(CLEAN, 100)]).path)
    assert [(each.transport, MEASURES["lost"].value(each)) for each in result.streams] == [("udp", None), ("rtp", 1)]


def test_a_batch_of_segmentation_offload_is_counted_by_its_datagrams(tmp_path: Path):
    batches = [
        Sent(CLEAN[place].time_s, b"".join(each.data for each in CLEAN[place : place + 4]))
        for place in range(0, 300, 4)
    ]
    (stream,) = inspect(write_pcap(tmp_path / "tap.pcap", batches).path).streams
    assert of_wire(stream) == []
    assert MEASURES["datagrams"].value(stream) == 300
    assert MEASURES["ts_packets"].value(stream) == 2100


def test_rtp_of_another_payload_needs_three_numbers_in_a_row(tmp_path: Path):
    headers = [rtp_header(number, 1800 * number, payload_type=96) for number in range(9)]
    video = [Sent(0.02 * number, header + b"v" * 900) for number, header in enumerate(headers)]
    result = inspect(write_pcap(tmp_path / "tap.pcap", video[:4] + video[5:]).path)
    (stream,) = result.streams
    assert (stream.payload_type, stream.ts) == (96, None)
    assert of_wire(stream) == [("loss", 5)]
    assert MEASURES["jitter_ms"].value(stream) is None, "the clock of a dynamic payload type is not known"
    few = inspect(write_pcap(tmp_path / "few.pcap", video[:2]).path)
    assert (few.streams, few.others) == ([], {"other UDP": 2})


def test_what_is_no_stream_is_counted_by_its_kind(tmp_path: Path):
    pcap = Pcap(tmp_path / "tap.pcap").handshake().frame(b"\xff" * 12 + b"\x08\x06" + b"\0" * 46)
    pcap.udp("198.18.0.1", "198.18.0.2", b"\0" * 30, sport=53, dport=3333)
    result = inspect(pcap.path)
    assert result.others == {"TCP": 3, "not TCP, UDP or ICMP": 1, "other UDP": 1}
    assert result.streams == []


def cut_by_snaplen(pcap: Pcap) -> None:
    pcap.frame(b"\0" * 96, wire_bytes=1370)


def end_in_headers(pcap: Pcap) -> None:
    pcap.frame(frame(b"")[:20])


def set_clock_back(pcap: Pcap) -> None:
    pcap.now_s -= 0.5
    pcap.frame(frame(CLEAN[10].data))


def lose_a_fragment(pcap: Pcap) -> None:
    pcap.frame(in_fragments(CLEAN[10].data)[0])


def end_within_a_packet(pcap: Pcap) -> None:
    with pcap.path.open("ab") as file:
        file.write(b"\0" * 9)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            cut_by_snaplen,
            "1 packets, the first one 11, were cut by the snapshot length 262144: capture with tcpdump -s 0",
        ),
        (end_in_headers, "1 packets, the first one 11, end within their headers"),
        (set_clock_back, "its clock went back by 499 ms"),
        (lose_a_fragment, "1 datagrams in IP fragments are not complete"),
        (end_within_a_packet, "the file is cut off within a packet"),
    ],
)
def test_what_makes_a_file_incomplete_is_one_line_and_the_rest_is_measured(
    tmp_path: Path, damage: Callable[[Pcap], None], problem: str
):
    pcap = write_pcap(tmp_path / "tap.pcap", CLEAN[:10])
    damage(pcap)
    result = inspect(pcap.path)
    assert result.problems == [problem]
    assert MEASURES["ts_packets"].value(result.streams[0]) in {70, 77}


def test_a_file_without_a_packet_and_one_of_another_link_type_say_so(tmp_path: Path):
    empty = inspect(Pcap(tmp_path / "empty.pcap").path)
    assert (empty.problems, empty.streams, empty.started) == (["it holds no packet at all"], [], None)
    path = tmp_path / "radio.pcap"
    path.write_bytes(struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 127, int(START_S), 0, 4, 4) + b"wifi")
    radio = inspect(path)
    assert radio.problems == ["link type 127 cannot be read: known are 1, 101, 113, 228, 229, 276"]
    assert radio.others == {"link type 127": 1}


def test_ctrl_c_gives_what_was_read(tmp_path: Path):
    path = write_pcap(tmp_path / "tap.pcap", clean(5000)).path

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    result = inspect_capture(path, Thresholds(), stop)
    assert result.packets == 4096
    assert result.problems[0].startswith("stopped after ")
    assert MEASURES["datagrams"].value(result.streams[0]) == 4096


def test_streams_beyond_the_most_are_counted_and_not_measured():
    table = StreamTable()
    for number in range(MOST_STREAMS + 5):
        table.add_untrusted(Datagram(number, 0.0, ("a", number), ("b", 1), CLEAN[0].data))
    assert len(table.streams()) == MOST_STREAMS
    assert table.others == {f"of streams beyond {MOST_STREAMS}": 5}


def test_datagrams_held_back_of_a_stream_beyond_the_most_are_counted_and_it_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(stream_table, "MOST_STREAMS", 0)
    table = StreamTable()
    for number in range(3):
        table.add_untrusted(Datagram(number, 0.0, ("a", 1), ("b", 1), rtp_header(number, 0, payload_type=96)))
    assert sum(table.all_others().values()) == 3
    assert table.problems() == [f"3 datagrams of streams beyond {MOST_STREAMS} were not measured"]


def test_a_time_stamp_that_is_no_date_is_a_problem(tmp_path: Path):
    path = write_pcapng(tmp_path / "tap.pcapng", [each._replace(time_s=each.time_s + 1e12) for each in CLEAN]).path
    result = inspect(path)
    assert (result.started, result.problems) == (None, ["its first time stamp is no date"])
    assert MEASURES["datagrams"].value(result.streams[0]) == 300


def test_what_is_held_of_a_stream_with_leaps_does_not_grow():
    meter = RtpMeter(33)
    packet = rtp_untrusted(CLEAN[0].data)
    assert packet is not None
    tracemalloc.start()
    for number in range(3000):
        meter.add(number, 0.001 * number, packet._replace(sequence=3000 * number % 65_536))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 1_000_000, "nine million datagrams are missing, in runs"
    figures = meter.figures(0.0)
    assert (figures.lost, figures.longest_run, figures.loss_runs) == (2999 * 2999, 2999, {2999: 2999})
    assert figures.burst_mean == pytest.approx(2999 * 3000 - 1)


BEGINNINGS = st.sampled_from([b"", b"\x47", b"\x80\x21", b"\x90\x60"])


@given(st.lists(st.tuples(st.integers(0, 3), BEGINNINGS, st.binary(max_size=400))))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_datagrams_raise_nothing_and_each_is_counted(datagrams: list[tuple[int, bytes, bytes]]):
    table = StreamTable()
    for number, (port, begin, rest) in enumerate(datagrams):
        table.add_untrusted(Datagram(number, 0.01 * number, ("a", port), ("b", 1), begin + rest))
    measured = sum(stream.arrival.datagrams for stream in table.streams() if stream.arrival is not None)
    strays = sum(stream.rtp.strays for stream in table.streams() if stream.rtp is not None)
    assert measured + strays + sum(table.all_others().values()) >= len(datagrams)
