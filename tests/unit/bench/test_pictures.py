"""The first picture of a client, and continuity errors."""

from bench.pictures import Datagram, continuity_errors, first_picture
from flume.media.mpegts import NULL_PACKET, PACKET_BYTES
from support.media.synthetic import GOP_FRAMES, TsWriter

RTP = b"\x80\x21" + bytes(10)
MS = 1_000_000


def datagrams(*pieces: bytes, header: bytes = RTP) -> list[Datagram]:
    """Cut the packets of *pieces* into datagrams that arrive one millisecond apart."""
    data = b"".join(pieces)
    size = 7 * PACKET_BYTES
    return [Datagram(n * MS, header + data[at : at + size]) for n, at in enumerate(range(0, len(data), size))]


def test_the_first_picture_is_complete_when_the_next_begins() -> None:
    writer = TsWriter()
    key, second = writer.frame(), writer.frame()
    came = datagrams(key)
    assert first_picture(came) is None
    picture = first_picture(datagrams(key, second))
    assert picture is not None
    assert picture.keyframe
    # The decoder waited for the keyframe's last packet, not for the next picture's first.
    assert picture.time_ns == (len(key) // PACKET_BYTES - 1) // 7 * MS


def test_a_picture_in_the_middle_of_a_group_is_no_keyframe() -> None:
    writer = TsWriter()
    frames = [writer.frame() for _ in range(4)]
    picture = first_picture(datagrams(*frames[1:]))
    assert picture is not None
    assert not picture.keyframe


def test_what_stands_before_the_first_picture_is_passed_over() -> None:
    writer = TsWriter()
    frames = [writer.frame() for _ in range(GOP_FRAMES + 2)]
    rest = frames[GOP_FRAMES - 1][PACKET_BYTES:]  # a picture without its beginning
    picture = first_picture(datagrams(rest, *frames[GOP_FRAMES:], header=b""))
    assert picture is not None
    assert picture.keyframe


def test_continuity() -> None:
    writer = TsWriter()
    came = datagrams(*(writer.frame() for _ in range(8)))
    assert continuity_errors(came) == 0
    assert continuity_errors([*came[:4], *came[5:]]) == 1
    assert continuity_errors([came[0], Datagram(0, RTP + NULL_PACKET), *came[1:]]) == 0
