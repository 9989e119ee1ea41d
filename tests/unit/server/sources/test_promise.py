"""What an item announces only in its middle is named and counted."""

from flume.media.account import TrackAccount
from flume.media.program import StreamKind
from flume.reader.messages import Ended, Promise, Track
from flume.server.sources.promise import missing


def test_a_track_that_comes_late_and_is_not_sent_is_named():
    promise = Promise(engine="ffmpeg", tracks=(Track(kind="audio", codec="aac", pid=0x110),))
    late = Track(kind="audio", codec="ac3", language="eng", number=0x103)
    sent = {0x110: TrackAccount(5, 0, 9600, 940, StreamKind.AUDIO, 0x0F)}
    (shortfall,) = missing(promise, Ended(late_tracks=(late,)), sent)
    assert (shortfall.counter, shortfall.amount) == ("tracks_left_out", 1)
    assert shortfall.text.startswith("audio ac3 (eng) is not sent")
    assert not missing(promise, Ended(), sent)
