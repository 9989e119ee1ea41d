"""Parameter sets are kept, and put where a client joins that would otherwise have none."""

import pytest

from flume.media import mpegts
from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.media.parameter_sets import MAX_BYTES, ParameterSets, insert_position
from support.media.packetizer_harness import AUDIO, VIDEO
from support.media.ts_stream import Builder, Check

START = b"\0\0\0\1"
DELIMITER = START + b"\x09\xf0"
SPS, PPS, OTHER_PPS = b"\x67\x64\0\x0c\xac", b"\x68\xeb\xe3", b"\x68\x5b\xe3"
SETS = START + SPS + START + PPS
SLICE, IDR = START + b"\x41\x9a\x24", START + b"\x65\x88\x80"
RECOVERY = START + b"\x06\x06\x01\xc4\x80"
BANNER = START + b"\x06\x05" + b"x" * 600
H264 = 0x1B


def kept_of(stream_type: int, *units: bytes) -> bytes:
    sets = ParameterSets()
    for unit in units:
        sets.begin(stream_type, unit)
    return sets.kept


@pytest.mark.parametrize(
    ("stream_type", "sets", "picture"),
    [
        (H264, (SPS, PPS, OTHER_PPS), b"\x65\x88\x80"),
        (0x24, (b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1"), b"\x26\x01\xaf"),
        (0x02, (b"\xb3\x14\0\xb4\x13", b"\xb5\x14\x8a\0\1\0\0"), b"\0\0\x0f"),
        (0x10, (b"\xb0\1", b"\xb5\x89", b"\0", b"\x20\0\xc4"), b"\xb6\x10"),
        (0xEA, (b"\x0f\xca\0\1", b"\x0e\x5a"), b"\x0d\xc0"),
    ],
)
def test_the_sets_of_each_codec_are_kept_as_they_came(
    stream_type: int, sets: tuple[bytes, ...], picture: bytes
) -> None:
    unit = b"".join(b"\0\0\1" + one for one in (*sets, picture)) + bytes([255]) * 100
    kept = kept_of(stream_type, unit)
    assert kept == b"".join(START + one for one in sets)
    assert kept_of(stream_type, kept + b"\0\0\1" + picture).count(b"\0\0\1") == len(sets)


def test_sets_in_several_packets_behind_a_long_message_are_collected() -> None:
    unit = DELIMITER + BANNER + SETS + IDR + bytes(400)
    sets = ParameterSets()
    sets.begin(H264, unit[:150])
    assert sets.is_collecting
    at = 150
    while sets.is_collecting:
        sets.follow(unit[at : at + 184])
        at += 184
    assert at < 1000
    assert sets.kept == SETS


def test_an_ordinary_picture_collects_nothing_and_keeps_what_was() -> None:
    sets = ParameterSets()
    sets.begin(H264, SETS + IDR)
    sets.begin(H264, DELIMITER + SLICE)
    assert not sets.is_collecting
    assert not sets.are_present
    assert sets.kept == SETS


def test_a_pps_alone_is_added_and_a_new_sps_replaces_all() -> None:
    first = SETS + IDR
    assert kept_of(H264, first, START + OTHER_PPS + SLICE) == SETS + START + OTHER_PPS
    assert kept_of(H264, first, START + PPS + SLICE) == SETS
    assert kept_of(H264, first, START + SPS + b"\1" + START + OTHER_PPS + IDR) == (
        START + SPS + b"\1" + START + OTHER_PPS
    )
    assert kept_of(H264, START + PPS + SLICE) == b"", "without its SPS it means nothing"


def test_another_codec_or_item_forgets_them_and_unknown_codecs_have_none() -> None:
    first = SETS + IDR
    sets = ParameterSets()
    sets.begin(H264, first)
    sets.begin(0x24, START + b"\x02\x01")
    assert sets.kept == b""
    sets.begin(H264, first)
    sets.begin_item()
    assert sets.kept == b""
    sets.begin(0x33, first)
    assert sets.kept == b""


def test_what_never_ends_is_not_collected_for_long() -> None:
    sets = ParameterSets()
    sets.begin(H264, START + SPS)
    for _ in range(MAX_BYTES // 184 + 1):
        sets.follow(bytes([255]) * 184)
    assert not sets.is_collecting


@pytest.mark.parametrize(
    ("data", "position"),
    [(DELIMITER + SLICE, 6), (DELIMITER + SLICE[1:], 6), (SLICE, 0), (DELIMITER, 6), (b"", 0), (b"\1\2", 0)],
)
def test_sets_belong_after_the_delimiter(data: bytes, position: int) -> None:
    assert insert_position(H264, data) == position


@pytest.mark.parametrize("length", [1, 10, 182, 183, 184])
def test_a_packet_of_payload_is_stuffed_to_its_end(length: int) -> None:
    packet = mpegts.payload_packet(b"p" * length)
    assert len(packet) == 188
    assert packet[mpegts.payload_offset(packet) :] == b"p" * length


def film(*, keyframe: bytes) -> bytes:
    """Return a film with parameter sets at its beginning alone, *keyframe* every 2 s, and a number in each picture."""
    builder = Builder()
    builder.tables()
    for number in range(600):
        dts = 900_000 + number * 3600
        unit = DELIMITER + (keyframe if number % 50 == 0 else SLICE)
        if number == 0:
            unit = DELIMITER + BANNER + SETS + IDR
        builder.pes(100, unit + bytes([255]) * 500 + number.to_bytes(4, "big"), pts=dts, pcr=(dts - 36_000) * 300)
        builder.pes(200, b"\xff\xf1" + bytes(300), pts=dts)
    return bytes(builder.data)


def pictures(data: bytes, *, pid: int = VIDEO) -> list[bytes]:
    """Return the elementary stream of each PES of *pid* in *data*, by reassembly."""
    found: list[bytearray] = []
    for at in range(0, len(data), 188):
        packet = data[at : at + 188]
        if mpegts.pid_of(packet) != pid or not mpegts.has_payload(packet):
            continue
        payload = packet[mpegts.payload_offset(packet) :]
        if packet[1] & 0x40:
            found.append(bytearray(payload[9 + payload[8] :]))
        elif found:
            found[-1] += payload
    return [bytes(unit) for unit in found]


def play(data: bytes) -> tuple[list[Datagram], Packetizer]:
    packetizer = Packetizer()
    packetizer.begin_item(live=False)
    return packetizer.feed_untrusted(data) + packetizer.end_item(), packetizer


@pytest.mark.parametrize(("keyframe", "joins"), [(RECOVERY + SLICE, 12), (SLICE, 3)])
def test_a_client_that_joins_late_has_the_sets(keyframe: bytes, joins: int) -> None:
    data = film(keyframe=keyframe)
    datagrams, packetizer = play(data)
    sent = b"".join(datagram.payload for datagram in datagrams)
    check = Check(sent)
    assert check.continuity_errors == 0
    assert len(check.pes[AUDIO]) == 600
    starts = [number for number, datagram in enumerate(datagrams) if datagram.random_access]
    assert len(starts) == joins
    assert packetizer.statistics().inserted_parameter_sets == joins - 1, "the first frame has its own"
    for start in starts:
        first = pictures(b"".join(datagram.payload for datagram in datagrams[start:]))[0]
        assert SETS in first
    assert [unit.replace(SETS, b"") for unit in pictures(sent)] == [
        unit.replace(SETS, b"") for unit in pictures(data, pid=100)
    ]


def test_a_pes_of_declared_length_stays_whole() -> None:
    builder = Builder()
    packets = mpegts.Framer()
    builder.pes(200, b"\0\0\1\xb6" + bytes(100), pts=0)  # audio's PES have a length
    packet = packets.feed_untrusted(bytes(builder.data))[0]
    start = mpegts.payload_offset(packet)
    before = int.from_bytes(packet[start + 4 : start + 6], "big")
    further = mpegts.insert_into_pes(packet, start + 14, bytes(300))
    whole = bytes(packet[start:]) + b"".join(bytes(one[mpegts.payload_offset(one) :]) for one in further)
    assert int.from_bytes(whole[4:6], "big") == before + 300 == len(whole) - 6
