"""A PCR is put where the multiplexer writes none, and nothing else changes."""

import itertools

from flume.media import mpegts
from flume.reader.ffmpeg.pcr_filler import PcrFiller

VIDEO, AUDIO = 0x100, 0x110


def pes(pid: int, dts: int, counter: int) -> bytes:
    """One packet in which a PES begins, with a payload only."""
    packet = bytearray(bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | counter]) + bytes(184))
    packet[4:13] = b"\0\0\1\xe0\0\0\x80\x80\x05"
    packet[13] = 0x21
    mpegts.write_timestamp(packet, 13, dts)
    return bytes(packet)


def pcrs(stream: bytes) -> list[tuple[int, int, int]]:
    """PID, PCR in 90 kHz and continuity counter of each packet with a PCR."""
    packets = [bytearray(stream[at : at + 188]) for at in range(0, len(stream), 188)]
    found = [(packet, mpegts.read_pcr(packet)) for packet in packets]
    return [(mpegts.pid_of(packet), pcr // 300, packet[3] & 15) for packet, pcr in found if pcr is not None]


def filled(*pieces: bytes, lead: int = 18_000, step: int = 7200) -> bytes:
    filler = PcrFiller(pid=VIDEO, lead=lead, step=step)
    return b"".join(filler.fill(piece) for piece in pieces)


def test_sound_goes_on_while_the_picture_stands_still():
    sound = [pes(AUDIO, 900_000 + number * 1920, number % 16) for number in range(1, 48)]
    stream = filled(pes(VIDEO, 900_000, 7), *sound)
    found = pcrs(stream)
    assert [pid for pid, _, _ in found] == [VIDEO] * len(found)
    assert {counter for _, _, counter in found} == {7}, "a packet without payload repeats the counter"
    times = [882_000, *(at for _, at, _ in found)]
    assert max(after - before for before, after in itertools.pairwise(times)) <= 7200 + 1920
    assert [packet for packet in sound if packet not in stream] == []


def test_sound_before_the_picture_has_a_clock_of_its_own():
    assert pcrs(filled(pes(AUDIO, 900_000, 0))) == [(VIDEO, 882_000, 15)]


def test_the_clock_wraps():
    end = (1 << 33) - 4000
    stream = filled(
        pes(VIDEO, end, 0), *(pes(AUDIO, (end + number * 3000) % (1 << 33), number) for number in range(10))
    )
    assert 2 <= len(pcrs(stream)) <= 4


def test_a_picture_that_goes_on_needs_none():
    pieces = [pes(VIDEO, 900_000 + number * 3600, number) for number in range(10)]
    assert filled(*pieces) == b"".join(pieces)


def test_what_is_no_pes_stays_as_it_is():
    junk = bytes(188 * 3)
    assert filled(junk, b"") == junk
