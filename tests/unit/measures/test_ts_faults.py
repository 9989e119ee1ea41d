"""Faults in a stream of which every packet is known: each is found at its packet, and nothing else is."""

from random import Random

import pytest

from flume.measures.ts import INDICATORS, StreamFigures, Thresholds, TransportStream, examine_untrusted
from support.media.constant_rate import (
    ROWS,
    TICKS,
    VIDEO,
    Found,
    Multiplex,
    Packets,
    changed,
    edit,
    nulled,
    pcr_field,
    pid_of,
    shifted_clock,
)
from support.media.ts_faults import FAULTS, LIMITS, flag_discontinuity

CLEAN = Multiplex().packets(3000)
PCR_WRAP = (1 << 33) * 300


def examine(packets: Packets) -> StreamFigures:
    return examine_untrusted([b"".join(packets)], LIMITS)


def found(figures: StreamFigures) -> list[Found]:
    return [(row.indicator, row.packet, row.pid) for row in figures.findings]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_at_its_packet_and_nothing_else_is(name: str) -> None:
    inject, expected = FAULTS[name]
    figures = examine(inject(CLEAN))
    assert found(figures) == expected
    assert sum(figures.counts.values()) == len(expected)


LEGAL: dict[str, Packets] = {
    "untouched": CLEAN,
    "a packet comes twice": [*CLEAN[:1011], CLEAN[1010], *CLEAN[1011:]],
    "a packet with a PCR comes twice": [*CLEAN[:1006], *shifted_clock([CLEAN[1005]], 0, TICKS), *CLEAN[1006:]],
    "the PCR jumps, and a flag says so": edit(shifted_clock(CLEAN, 1010, 27_000_000), 1045, flag_discontinuity),
    "the counter jumps, and a flag says so": edit(CLEAN[:1020] + CLEAN[1026:], 1039, flag_discontinuity),
    "the PCR wraps": Multiplex(clock=PCR_WRAP - 1000 * TICKS).packets(3000),
    "the PCR begins at its end": Multiplex(clock=PCR_WRAP - 1).packets(3000),
    "subtitles that are silent": Multiplex(streams=(*ROWS, (0x06, 0x102))).packets(3000),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_allowed_is_no_finding(name: str) -> None:
    figures = examine(LEGAL[name])
    assert found(figures) == []


def test_a_clean_stream_is_examined_by_every_indicator() -> None:
    figures = examine(CLEAN)
    assert figures.counts == dict.fromkeys(figures.counts, 0)
    assert list(figures.counts) == list(INDICATORS)
    assert figures.not_examined == {}


def test_arrivals_give_the_same_findings_as_the_clock_of_a_file() -> None:
    for name, (inject, expected) in FAULTS.items():
        if name in {"junk between packets", "a last packet that is cut"}:
            continue
        analysis = TransportStream(LIMITS)
        for number, packet in enumerate(inject(CLEAN)):
            analysis.add_untrusted(packet, number / 1000)
        assert found(analysis.result()) == expected, name


def test_two_wrong_sync_bytes_lose_sync() -> None:
    packets = edit(edit(CLEAN, 1011, lambda packet: changed(packet, 0, 0)), 1012, lambda packet: changed(packet, 0, 0))
    assert found(examine(packets)) == [("1.1", 1011, None), ("1.4", 1011, VIDEO)]
    analysis = TransportStream(LIMITS)
    analysis.add_untrusted(b"".join(packets), None)  # of a source that knows where packets begin
    assert found(analysis.result()) == [("1.2", 1011, None), ("1.1", 1012, None), ("1.4", 1013, VIDEO)]


def test_a_pause_that_is_marked_is_no_error() -> None:
    analysis = TransportStream(LIMITS)
    analysis.add_untrusted(b"".join(CLEAN[:1000]), None)
    analysis.interrupt()
    analysis.add_untrusted(b"".join(CLEAN[1950:]), None)
    assert found(analysis.result()) == []
    unmarked = TransportStream(LIMITS)
    unmarked.add_untrusted(b"".join(CLEAN[:1000] + CLEAN[1950:]), None)
    assert unmarked.result().counts["1.4"] > 0


def test_a_pause_of_arrivals_that_is_marked_is_no_error() -> None:
    analysis = TransportStream(LIMITS)
    for number, packet in enumerate(CLEAN):
        if number == 1000:
            analysis.interrupt()
        if not 1000 <= number < 1950:
            analysis.add_untrusted(packet, number / 1000 + (60.0 if number >= 1000 else 0.0))
    assert found(analysis.result()) == []


def test_what_is_missing_before_a_pause_is_found() -> None:
    analysis = TransportStream(LIMITS)
    for number, packet in enumerate(nulled(CLEAN, lambda number, packet: pid_of(packet) == 0 and number > 1000)[:2000]):
        analysis.add_untrusted(packet, number / 1000)
    analysis.interrupt()
    assert found(analysis.result()) == [("1.3.a", 1999, 0)]
    for number, packet in enumerate(CLEAN[2000:], 2000):
        analysis.add_untrusted(packet, number / 1000 + 9)
    assert found(analysis.result()) == [("1.3.a", 1999, 0)]


def test_the_figures_of_a_stream() -> None:
    figures = examine(CLEAN)
    assert figures.packets == 3000
    assert figures.duration_s == pytest.approx(2.965)  # to the last PCR
    assert figures.rate_kbit == pytest.approx(1504)
    assert figures.constant_rate is True
    rows = {row.kind: (row.pid, row.packets) for row in figures.pids}
    assert rows["PAT"] == (0, 30)
    assert rows["PMT"] == (0x1000, 30)
    assert rows["H.264 video"][0] == VIDEO
    assert rows["AAC audio"] == (0x101, 225)
    assert sum(row.rate_kbit or 0 for row in figures.pids) == pytest.approx(1504)
    (program,) = figures.programs
    assert (program.number, program.pmt_pid, program.pcr_pid) == (1, 0x1000, VIDEO)
    assert program.streams == {VIDEO: "H.264 video", 0x101: "AAC audio"}
    (pcrs,) = figures.pcrs
    assert (pcrs.count, pcrs.arrival_spread_ms) == (75, None)
    assert pcrs.longest_ms == pytest.approx(40)
    assert pcrs.worst_ns == pytest.approx(0, abs=1)


def test_the_delay_variation_of_arrivals_is_a_figure_and_no_error() -> None:
    analysis = TransportStream(LIMITS)
    for number, packet in enumerate(CLEAN):
        analysis.add_untrusted(packet, number / 1000 + (0.03 if 1000 < number < 1050 else 0.0))
    figures = analysis.result()
    assert found(figures) == []
    assert figures.pcrs[0].arrival_spread_ms == pytest.approx(30)


def test_what_cannot_be_known_is_said() -> None:
    no_pcr = [changed(packet, 5, packet[5] & 0xEF) if packet[3] & 0x20 else packet for packet in CLEAN]
    figures = examine(no_pcr)
    assert found(figures) == []
    assert set(figures.not_examined) == {"1.3.a", "1.5.a", "1.6", "2.3a", "2.3b", "2.4", "2.5"}
    assert {"1.6", "2.3a", "2.3b", "2.4", "2.5"}.isdisjoint(figures.counts)
    hidden = [changed(packet, 3, packet[3] | 0x80) if packet[1:3] == b"\x41\x01" else packet for packet in CLEAN]
    assert examine(hidden).not_examined == {"2.5": "not of PID 0x101: scrambled"}
    slowing = [packet for number, packet in enumerate(CLEAN) if packet[1] & 0x1F != 0x1F or number * number % 7 > 2]
    assert examine(slowing).not_examined == {"2.4": "the rate is not constant"}
    assert found(examine(slowing)) == []


def test_the_first_findings_are_kept_and_all_are_counted() -> None:
    packets = [
        changed(packet, 1, packet[1] | 0x80) if number % 10 == 7 else packet for number, packet in enumerate(CLEAN)
    ]
    packets = edit(packets, 2810, lambda packet: changed(packet, 0, 0))
    figures = examine(packets)
    assert figures.counts["2.1"] == 300
    assert len([row for row in figures.findings if row.indicator == "2.1"]) == 100
    assert figures.counts["1.2"] == 1
    assert [row.packet for row in figures.findings if row.indicator == "1.2"] == [2810]


def test_a_threshold_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"pat_s=0 is not possible"):
        Thresholds(pat_s=0)


def test_pcrs_that_are_all_inaccurate_are_found() -> None:
    random, packets = Random(1), Multiplex().packets(20_000)
    places = range(5, len(packets), 40)
    for place in places:
        (packets[place],) = shifted_clock([packets[place]], 0, random.choice((-1, 1)) * random.randrange(40, 200))
    figures = examine(packets)
    assert figures.constant_rate is True
    assert {row[0] for row in found(figures)} == {"2.4"}
    assert {row[1] for row in found(figures)} <= set(places)
    # The first ones teach the line, which then is only nearly the right one.
    assert 0.8 * len(places) < figures.counts["2.4"] < len(places)
    assert 5000 < (figures.pcrs[0].worst_ns or 0) < 20_000


@pytest.mark.parametrize("most", [1, 2, 4, 30])
def test_a_rate_that_varies_is_no_inaccuracy(most: int) -> None:
    # Each picture has a PCR, and as many packets as it needs: few pictures in succession need the same number.
    random = Random(most)
    packets = CLEAN[:3]
    for picture in range(400):
        packets.append(changed(CLEAN[5], 3, 0x20)[:6] + pcr_field(picture * 1_080_000) + CLEAN[5][12:])
        packets += [CLEAN[3]] * random.randrange(most + 1)
    figures = examine(packets)
    assert figures.constant_rate is False
    assert "2.4" not in figures.counts
    assert figures.pcrs[0].worst_ns is None
