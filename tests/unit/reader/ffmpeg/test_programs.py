"""Programs of an item as FFmpeg describes it, and the choice of one."""

import pytest

from flume.reader.engine import UnplayableError
from flume.reader.ffmpeg.programs import ProgramTracks, TsTrack, choose, programs_in_description

DESCRIPTION = """Input #0, mpegts, from '':
  Duration: N/A, start: 1.458667, bitrate: N/A
  Program 700 
    Metadata:
      service_name    : News
                      :   Program 9
      service_provider: Any
  Stream #0:0[0x100]: Video: h264 (High) ([27][0][0][0] / 0x001B), yuv420p(progressive), 160x90 [SAR 1:1 DAR 16:9]
    Metadata:
      service_name    : of a stream
  Stream #0:1[0x101](deu): Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, mono, fltp, 68 kb/s
  Program 5 
  Stream #0:2[0x120](eng): Subtitle: dvb_teletext ([6][0][0][0] / 0x0006)
  Program 6 
  No Program
  Stream #0:3[0x1ff]: Video: h264
"""  # noqa: W291 - FFmpeg writes so

NEWS = ProgramTracks(700, "News", (TsTrack(0x100, "h264"), TsTrack(0x101, "aac", "deu")))


def test_ffmpegs_description_gives_programs_in_order_with_their_tracks():
    programs = programs_in_description(DESCRIPTION)
    assert programs == (NEWS, ProgramTracks(5, "", (TsTrack(0x120, "dvb_teletext", "eng"),)), ProgramTracks(6, ""))
    assert programs[1].teletext == {0x120}
    assert programs_in_description("") == ()
    assert programs_in_description("  Stream #0:0[0x100]: Video: h264") == ()


def test_the_first_program_with_something_to_play_is_chosen_or_the_one_that_is_wanted():
    programs = programs_in_description(DESCRIPTION)
    assert choose(programs, None, "film", playable=(0x120, 0x100)) == NEWS
    assert choose(programs, "5", "film", playable=()) == programs[1]
    assert choose(programs, "news", "film", playable=()) == NEWS
    assert choose((), None, "film", playable=(1,)) is None
    with pytest.raises(UnplayableError, match=r"no program '8'; it has 700 \(News\), 5, 6"):
        choose(programs, "8", "film", playable=())
