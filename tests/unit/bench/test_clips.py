"""Rate and null packets of a clip."""

import pytest

from bench import clips
from bench.values import BenchError
from flume.media.mpegts import NULL_PACKET, PACKET_BYTES
from support.media.synthetic import TsWriter


def test_the_rate_is_that_of_the_pcrs() -> None:
    writer = TsWriter(bitrate_kbit=2000)
    frames = [writer.frame() for _ in range(51)]
    # The first PCR and the last are fifty frames apart, each 1/25 s long.
    rate, nulls = clips.examine(b"".join(frames))
    until_last = sum(len(frame) for frame in frames[:50])
    assert rate == pytest.approx(until_last / 2, rel=0.01)
    assert nulls == 0


def test_null_packets_are_counted() -> None:
    writer = TsWriter()
    data = b"".join(writer.frame() for _ in range(10))
    nulls = len(data) // PACKET_BYTES
    assert clips.examine(data + NULL_PACKET * nulls)[1] == pytest.approx(0.5)


def test_a_clip_without_a_clock_is_refused() -> None:
    with pytest.raises(BenchError, match="two PCRs"):
        clips.examine(NULL_PACKET * 100)
