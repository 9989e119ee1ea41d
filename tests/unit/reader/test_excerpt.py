"""A part of an item promises that part."""

import pytest

from flume.reader.excerpt import Excerpt, excerpt_of
from flume.reader.messages import Promise, Track

WHOLE = Promise(engine="ffmpeg", seconds=60.0, tracks=(Track(kind="video", codec="h264", seconds=50.0, frames=1250),))


@pytest.mark.parametrize(
    ("excerpt", "seconds", "track_seconds"),
    [
        (Excerpt(10.0), 50.0, 40.0),
        (Excerpt(10.0, 30.0), 20.0, 20.0),
        (Excerpt(0.0, 55.0), 55.0, 50.0),
        (Excerpt(100.0), 0.0, 0.0),
    ],
)
def test_lengths_are_cut_and_frames_are_not_promised(excerpt: Excerpt, seconds: float, track_seconds: float) -> None:
    promise = excerpt.of_promise(WHOLE)
    assert promise.seconds == seconds
    assert promise.tracks[0].seconds == track_seconds
    assert promise.tracks[0].frames is None


def test_without_options_an_item_is_whole() -> None:
    assert excerpt_of(()).of_promise(WHOLE) is WHOLE
    assert excerpt_of(("http-user-agent=a=b", "stop-time=5")) == Excerpt(0.0, 5.0)
    assert Excerpt(1.0).of_promise(Promise(engine="vlc", live=True)).seconds is None
