"""Faults in a stream of which every packet is known: each is found at its packet, and nothing else is."""

from collections.abc import Callable

import pytest

from flume.measures.ts import INDICATORS, StreamFigures, Thresholds, TransportStream, examine_untrusted
from support.media.constant_rate import (
    AUDIO,
    PMT,
    ROWS,
    SDT,
    TICKS,
    VIDEO,
    Found,
    Multiplex,
    Packets,
    changed,
    edit,
    nulled,
    pat,
    pid_of,
    shifted_clock,
    with_section,
)

LIMITS = Thresholds(pid_s=1.0)
CLEAN = Multiplex().packets(3000)
PCR_WRAP = (1 << 33) * 300


def examine(packets: Packets) -> StreamFigures:
    return examine_untrusted([b"".join(packets)], LIMITS)


def found(figures: StreamFigures) -> list[Found]:
    return [(row.indicator, row.packet, row.pid) for row in figures.findings]


def two_wrong_sync_bytes(packets: Packets) -> Packets:
    return edit(edit(packets, 1011, lambda packet: changed(packet, 0, 0)), 1012, lambda packet: changed(packet, 0, 0))


def swapped(packets: Packets, one: int, other: int) -> Packets:
    out = list(packets)
    out[one], out[other] = out[other], out[one]
    return out


def flag_discontinuity(packet: bytes) -> bytes:
    return changed(packet, 5, packet[5] | 0x80)


FAULTS: dict[str, tuple[Callable[[Packets], Packets], list[Found]]] = {
    "a wrong sync byte": (
        lambda packets: edit(packets, 1010, lambda packet: changed(packet, 0, 0x48)),
        [("1.2", 1010, None)],
    ),
    "a wrong table_id on PID 0": (
        lambda packets: edit(packets, 1000, lambda packet: with_section(packet, pat(table=0x42))),
        [("1.3.a", 1000, 0)],
    ),
    "a scrambled PAT": (
        lambda packets: edit(packets, 1000, lambda packet: changed(packet, 3, packet[3] | 0x80)),
        [("1.3.a", 1000, 0), ("2.6", 1000, 0)],
    ),
    "no PAT for a second": (
        lambda packets: nulled(packets, lambda number, packet: pid_of(packet) == 0 and 950 < number < 1850),
        [("1.3.a", 1900, 0)],
    ),
    "no PAT to the end": (
        lambda packets: nulled(packets, lambda number, packet: pid_of(packet) == 0 and number > 950),
        [("1.3.a", 2999, 0)],
    ),
    "a packet of the picture is missing": (
        lambda packets: packets[:1010] + packets[1011:],
        [("1.4", 1010, VIDEO)],
    ),
    "a packet of the sound is missing": (
        lambda packets: packets[:1031] + packets[1032:],
        [("1.4", 1031, AUDIO)],
    ),
    "a packet comes three times": (
        lambda packets: packets[:1011] + [packets[1010]] * 2 + packets[1011:],
        [("1.4", 1012, VIDEO)],
    ),
    "fifteen packets of the picture are missing": (
        lambda packets: packets[:1007] + packets[1022:],
        [("1.4", 1007, VIDEO)],
    ),
    "two packets in the wrong order": (
        lambda packets: swapped(packets, 1010, 1011),
        [("1.4", 1010, VIDEO), ("1.4", 1011, VIDEO), ("1.4", 1012, VIDEO)],
    ),
    "the counter goes on without payload": (
        lambda packets: edit(packets, 1035, lambda _: bytes([0x47, 1, 0, 0x25, 183, 0]).ljust(188, b"\xff")),
        [("1.4", 1035, VIDEO), ("1.4", 1045, VIDEO)],
    ),
    "a scrambled PMT": (
        lambda packets: edit(packets, 1001, lambda packet: changed(packet, 3, packet[3] | 0xC0)),
        [("1.5.a", 1001, PMT), ("2.6", 1001, PMT)],
    ),
    "no PMT for a second": (
        lambda packets: nulled(packets, lambda number, packet: pid_of(packet) == PMT and 950 < number < 1850),
        [("1.5.a", 1901, PMT)],
    ),
    "the PAT names a PMT that never comes": (
        lambda packets: [
            with_section(packet, pat(pmt=0x1001)) if pid_of(packet) == 0 else packet
            for packet in nulled(packets, lambda _, packet: pid_of(packet) == PMT)
        ],
        [("1.5.a", 2999, 0x1001)],
    ),
    "no sound for 1.5 s": (
        lambda packets: nulled(packets, lambda number, packet: pid_of(packet) == AUDIO and 900 < number < 2400),
        [("1.6", 2430, AUDIO), ("2.5", 2430, AUDIO)],
    ),
    "a transport error": (
        lambda packets: edit(packets, 1010, lambda packet: changed(packet, 1, packet[1] | 0x80)),
        [("2.1", 1010, VIDEO)],
    ),
    "a wrong CRC of the PAT": (
        lambda packets: edit(packets, 1000, lambda packet: changed(packet, 20, packet[20] ^ 1)),
        [("2.2", 1000, 0)],
    ),
    "a wrong CRC of the PMT": (
        lambda packets: edit(packets, 1001, lambda packet: changed(packet, 18, packet[18] ^ 1)),
        [("2.2", 1001, PMT)],
    ),
    "a wrong CRC of the SDT": (
        lambda packets: edit(packets, 1002, lambda packet: changed(packet, 9, packet[9] ^ 1)),
        [("2.2", 1002, SDT)],
    ),
    "no PCR for 200 ms": (
        lambda packets: [
            changed(packet, 5, packet[5] & 0xEF) if number % 40 == 5 and 1006 < number < 1200 else packet
            for number, packet in enumerate(packets)
        ],
        [("2.3a", 1205, VIDEO)],
    ),
    "the PCR jumps on": (lambda packets: shifted_clock(packets, 1010, 27_000_000), [("2.3b", 1045, VIDEO)]),
    "the PCR jumps back": (lambda packets: shifted_clock(packets, 1010, -5_400_000), [("2.3b", 1045, VIDEO)]),
    "a PCR is 2 µs late": (lambda packets: shifted_clock(packets, 1045, 54, end=1046), [("2.4", 1045, VIDEO)]),
    "all PCRs from one on are 2 µs early": (lambda packets: shifted_clock(packets, 1045, -54), [("2.4", 1045, VIDEO)]),
    "no PTS for 2 s": (
        lambda packets: [
            changed(packet, 19, 0) if number % 40 == 5 and 600 < number < 2600 else packet
            for number, packet in enumerate(packets)
        ],
        [("2.5", 2605, VIDEO)],
    ),
    "another table on PID 1": (
        lambda packets: edit(packets, 1035, lambda _: with_section(b"\x47\x40\x01\x10", pat(table=0x42))),
        [("2.6", 1035, 1)],
    ),
    "junk between packets": (
        lambda packets: [*packets[:1010], b"junk" * 30, *packets[1010:]],
        [("1.1", 1010, None)],
    ),
    "a last packet that is cut": (lambda packets: [*packets, packets[-1][:100]], [("1.1", 3000, None)]),
}


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
