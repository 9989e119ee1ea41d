"""The reason of a failure, out of libvlc's log."""

import pytest

from flume.reader.libvlc.log import reason_of

OPENED = ["mux_ts error: invalid pcr delay (70ms) resetting to 70ms", "vlcpulse error: Connection refused"]
GENERAL = ["main error: Your input can't be opened", "main error: VLC is unable to open the MRL 'x'. Check the log."]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], None),
        (["main warning: no more input streams for this mux"], None),
        (["http error: cannot connect to x:80", *GENERAL], "http error: cannot connect to x:80"),
        (GENERAL, GENERAL[0]),
        (
            ["ps warning: garbage at input from 9", "mp4 warning: moov is missing", *GENERAL],
            "mp4 warning: moov is missing",
        ),
        (["mux_ts warning: rejecting stream with unsupported codec flac", "main error: cannot add this stream"], None),
        (
            ["avformat error: Could not open a: Unknown error 1094995529"],
            "avformat error: Could not open a: not a format that FFmpeg knows",
        ),
    ],
)
def test_the_line_that_explains_is_found_and_noise_is_not(lines: list[str], reason: str | None) -> None:
    assert reason_of([*OPENED, *lines]) == reason
