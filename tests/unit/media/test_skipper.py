"""Where the stream may continue after packets were left out."""

import pytest

from flume.media.program import Route, StreamKind
from flume.media.skipper import Resumption, Skipper
from support.media.ts_stream import H264_KEYFRAME, H264_OTHER, Builder

VIDEO = Route(0x100, StreamKind.VIDEO, 0x1B, carries_pcr=True)
AUDIO = Route(0x110, StreamKind.AUDIO, 0x0F, carries_pcr=False)
SUBTITLES = Route(0x120, StreamKind.OTHER, 0x06, carries_pcr=False)


def first_packet(payload: bytes, *, pid: int = 100) -> bytearray:
    builder = Builder()
    builder.pes(pid, payload + bytes(400), pts=900_000)
    return builder.data[:188]


KEYFRAME, OTHER = first_packet(H264_KEYFRAME), first_packet(H264_OTHER)
AUDIO_FRAME = first_packet(b"\xff\xf1", pid=200)


def ends(at: Resumption | None, packet: bytearray, route: Route, *, main: Route | None = VIDEO) -> bool:
    skipper = Skipper()
    skipper.begin()
    if at is not None:
        skipper.resume(at=at)
    before = vars(skipper).copy(), bytes(packet)
    answer = skipper.ends_at_untrusted(packet, route, main=main)
    assert (vars(skipper), bytes(packet)) == before, "the question has no effect"
    return answer


@pytest.mark.parametrize(
    ("at", "packet", "route", "expected"),
    [
        (None, KEYFRAME, VIDEO, False),
        ("never", KEYFRAME, VIDEO, False),
        ("keyframe", KEYFRAME, VIDEO, True),
        ("keyframe", OTHER, VIDEO, False),
        ("keyframe", AUDIO_FRAME, AUDIO, False),
        ("any_frame", KEYFRAME, VIDEO, True),
        ("any_frame", OTHER, VIDEO, True),
        ("any_frame", AUDIO_FRAME, AUDIO, True),
        ("any_frame", AUDIO_FRAME, SUBTITLES, False),
    ],
)
def test_where_the_stream_may_continue(at: Resumption, packet: bytearray, route: Route, expected: bool) -> None:
    assert ends(at, packet, route) is expected


def test_a_stream_of_audio_alone_continues_with_any_of_its_pes() -> None:
    assert ends("keyframe", AUDIO_FRAME, AUDIO, main=AUDIO)


@pytest.mark.parametrize("at", ["keyframe", "any_frame"])
def test_the_stream_resumes_only_at_the_first_packet_of_a_pes(at: Resumption) -> None:
    continued, scrambled = KEYFRAME.copy(), KEYFRAME.copy()
    continued[1] &= ~0x40
    scrambled[3] |= 0x80
    assert not ends(at, continued, VIDEO)
    assert not ends(at, scrambled, VIDEO)


def test_each_skip_waits_for_a_resume_of_its_own() -> None:
    skipper = Skipper()
    assert not skipper.is_skipping
    skipper.begin()
    skipper.resume(at="any_frame")
    assert skipper.is_skipping
    skipper.end()
    assert not skipper.is_skipping
    skipper.begin()
    assert not skipper.ends_at_untrusted(KEYFRAME, VIDEO, main=VIDEO)
