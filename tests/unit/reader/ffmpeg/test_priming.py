"""What an encoder writes before the sound begins takes no time, and the rest stays where it is."""

import itertools

import pytest

from flume.reader.ffmpeg.priming import Priming


class Packet:
    def __init__(self, duration: int, skipped: int = 0) -> None:
        self.duration, self._skipped = duration, skipped

    def has_sidedata(self, kind: str) -> bool:
        return kind == "skip_samples" and self._skipped > 0

    def get_sidedata(self, _: str) -> bytes:
        return self._skipped.to_bytes(4, "little") + bytes(6)


def placed(skipped: int, *, frames: int = 6, duration: int = 1920) -> list[int]:
    priming = Priming(48_000)
    first = -round(skipped * 90_000 / 48_000)
    packets = [Packet(duration, skipped if number == 0 else 0) for number in range(frames)]
    return [priming.place(packet, first + number * duration) for number, packet in enumerate(packets)]


@pytest.mark.parametrize(
    ("skipped", "begins"),
    [
        (0, [0, 1920, 3840]),
        (1024, [-9, 0, 1920]),
        (2048, [-18, -9, 0]),
        (2112, [-27, -18, -9, 1800]),
        (312, [-9, 1335, 3255]),
    ],
)
def test_priming_lies_just_before_the_sound(skipped, begins):
    assert placed(skipped)[: len(begins)] == begins


def test_a_container_that_would_leave_out_minutes_is_not_believed():
    times = placed(1 << 20, frames=40)
    assert {after - before for before, after in itertools.pairwise(times)} == {1920}
