"""A part of an item begins at a keyframe, on all tracks."""

from fractions import Fraction
from types import SimpleNamespace

from flume.reader.ffmpeg.cutting import from_keyframe

VIDEO, AUDIO = SimpleNamespace(index=0, type="video"), SimpleNamespace(index=1, type="audio")


def packet(stream, at_s: float, *, key: bool = False) -> SimpleNamespace:
    ticks = round(at_s * 1000)
    return SimpleNamespace(
        stream=stream, dts=ticks, pts=ticks + 80, time_base=Fraction(1, 1000), is_keyframe=key or stream is AUDIO
    )


def film(seconds: int, *, late_s: float = 0.0) -> list[SimpleNamespace]:
    """Keyframes each two seconds; the sound lies *late_s* behind the picture in the file."""
    rows = [(at / 10, packet(VIDEO, at / 10, key=at % 20 == 0)) for at in range(seconds * 10)]
    rows += [(at / 10 + late_s, packet(AUDIO, at / 10)) for at in range(seconds * 10)]
    return [each for _, each in sorted(rows, key=lambda row: row[0])]


def starts(packets) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in packets:
        found.setdefault(each.stream.type, each.dts / 1000)
    return found


def test_it_begins_at_the_last_keyframe_before_the_start():
    out = list(from_keyframe(film(10), 5.0))
    assert starts(out) == {"video": 4.0, "audio": 4.0}
    assert len(out) == 120


def test_sound_that_lies_before_or_behind_the_picture_begins_with_it():
    for late_s in (-0.75, 0.75):
        out = list(from_keyframe(film(10, late_s=late_s), 5.0))
        assert starts(out) == {"video": 4.0, "audio": 4.0}
        assert len(out) == 120


def test_without_a_keyframe_it_begins_at_the_start():
    sound = [each for each in film(10) if each.stream is AUDIO]
    assert starts(from_keyframe(sound, 5.0)) == {"audio": 5.0}


def test_the_clock_of_what_follows_may_go_back():
    out = list(from_keyframe([*film(10), *film(10)], 5.0))
    assert len(out) == 120 + 200


def test_a_start_behind_the_end_gives_nothing_but_the_last_pictures():
    assert starts(from_keyframe(film(4), 60.0)) == {"video": 2.0, "audio": 2.0}
