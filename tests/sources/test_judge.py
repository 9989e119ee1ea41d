"""The judge of the catalogue finds what it is there to find: each fault, made by hand, has its line."""

import dataclasses
from pathlib import Path

import pytest

from sources.catalogue.clips import film
from sources.comparing import compare_audio, compare_pictures, compare_stream, expected
from sources.entry import Entry
from support.clients.recorder import Recorder
from support.media.decoding import Decoded, Track, decode_ts
from support.media.recipes import make

STEPS = (film("film.ts", 2),)
ENTRY = Entry(name="judge", kind="works", steps=STEPS, play=("film.ts",))
TWICE = dataclasses.replace(ENTRY, loops=2)


@pytest.fixture(scope="module")
def folder() -> Path:
    return make("judge", STEPS)


@pytest.fixture(scope="module")
def film_ts(folder: Path) -> Decoded:
    return expected(ENTRY.expected()[0], folder)


@pytest.fixture(scope="module")
def received(folder: Path) -> Decoded:
    return decode_ts(folder / "film.ts")


def moved(track: Track, seconds: float, *, first: int = 0) -> Track:
    """Return *track* with the packets from *first* on *seconds* later."""
    late = (one._replace(time_s=one.time_s + seconds) for one in track.samples[first:])
    return dataclasses.replace(track, samples=(*track.samples[:first], *late))


def with_audio(decoded: Decoded, track: Track) -> Decoded:
    return dataclasses.replace(decoded, tracks=tuple(track if one.kind == "audio" else one for one in decoded.tracks))


def test_what_is_as_it_was_has_no_problem(film_ts: Decoded, received: Decoded) -> None:
    assert compare_pictures(ENTRY, received, [film_ts]) == []
    assert compare_audio(ENTRY, received, [film_ts]) == []


def test_a_picture_that_is_missing_or_damaged_or_doubled_is_found(film_ts: Decoded, received: Decoded) -> None:
    all_of_it = received.pictures
    damaged = (*all_of_it[:9], all_of_it[9]._replace(checksum="0" * 32), *all_of_it[10:])
    for pictures, says in (
        ((*all_of_it[:7], *all_of_it[8:]), "49 pictures of 50; not as they were: 7"),
        (all_of_it[:-1], "49 pictures of 50; not as they were: 49"),
        (damaged, "50 pictures of 50; not as they were: 9; instead at: 9"),
        ((*all_of_it, all_of_it[-1]), "51 pictures of 50"),
        ((all_of_it[1], all_of_it[0], *all_of_it[2:]), "50 pictures of 50; not as they were"),
    ):
        (problem,) = compare_pictures(ENTRY, dataclasses.replace(received, pictures=pictures), [film_ts])
        assert problem.startswith(says)


def test_a_picture_at_another_time_is_found(film_ts: Decoded, received: Decoded) -> None:
    late = tuple(one._replace(time_s=one.time_s + 0.002 * (at >= 30)) for at, one in enumerate(received.pictures))
    problems = compare_pictures(ENTRY, dataclasses.replace(received, pictures=late), [film_ts])
    assert problems == ["part 0: picture 30 is +2.0 ms from its time"]


def test_a_silence_between_loops_is_found(film_ts: Decoded, received: Decoded) -> None:
    def twice(gap_s: float) -> Decoded:
        first_s, last_s = received.pictures[0].time_s, received.pictures[-1].time_s
        again = (one._replace(time_s=one.time_s - first_s + last_s + 0.04 + gap_s) for one in received.pictures)
        return dataclasses.replace(received, pictures=(*received.pictures, *again))

    assert compare_pictures(TWICE, twice(0.1), [film_ts]) == []
    (problem,) = compare_pictures(TWICE, twice(0.6), [film_ts])
    assert "after the end of the one before" in problem
    (problem,) = compare_pictures(TWICE, twice(-0.2), [film_ts])
    assert "before the last picture" in problem


def test_audio_that_is_missing_or_late_is_found(film_ts: Decoded, received: Decoded) -> None:
    (audio,) = received.of("audio")
    short = dataclasses.replace(audio, samples=audio.samples[:-1])
    count = len(audio.samples)
    assert compare_audio(ENTRY, with_audio(received, short), [film_ts]) == [f"audio 0: {count - 1} frames of {count}"]
    (problem,) = compare_audio(ENTRY, with_audio(received, moved(audio, 0.01)), [film_ts])
    assert "+10.0 ms from its time" in problem
    problems = compare_audio(ENTRY, with_audio(received, moved(audio, -0.2, first=40)), [film_ts])
    assert any("goes back" in problem for problem in problems)
    none = dataclasses.replace(received, tracks=received.of("video"))
    assert compare_audio(ENTRY, none, [film_ts]) == ["0 audio tracks of 1: []"]


def test_a_packet_that_is_missing_and_a_rate_that_is_absurd_are_found(folder: Path, film_ts: Decoded) -> None:
    data = (folder / "film.ts").read_bytes()
    pieces = [data[at : at + 188] for at in range(0, len(data), 188)]
    in_time = Recorder(0, payloads=pieces, times_s=[2.0 * at / len(pieces) for at in range(len(pieces))])
    assert [one for one in compare_stream(ENTRY, in_time, [film_ts]) if "continuity" in one or "came in" in one] == []
    less = dataclasses.replace(in_time, payloads=[*pieces[:200], *pieces[201:]], times_s=in_time.times_s[1:])
    assert any("1 continuity errors" in one for one in compare_stream(ENTRY, less, [film_ts]))
    long = dataclasses.replace(in_time, payloads=pieces * 4, times_s=[0.001 * at for at in range(4 * len(pieces))])
    assert any("goes back" in one for one in compare_stream(ENTRY, long, [film_ts]))
