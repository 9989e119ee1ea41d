"""Faults in the stream of :mod:`support.media.constant_rate`: how to make each, and the findings that belong to it."""

from collections.abc import Callable

from flume.measures.ts import Thresholds
from support.media.constant_rate import (
    AUDIO,
    PMT,
    SDT,
    VIDEO,
    Found,
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
"""With the 5 s of TR 101 290 for an absent PID, the stream would have to be long."""


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
