"""A packetizer fed by a synthetic camera, and what must hold of its output, whatever the camera did."""

import itertools

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from support.media.camera import FRAME_TICKS, SyntheticCamera
from support.media.ts_stream import Check

VIDEO, AUDIO, PCR = 0x100, 0x110, 0x1F0
FRAME_S = FRAME_TICKS / 90_000
PCR_HZ = 27_000_000


class PacketizerHarness:
    """A camera, a packetizer that is fed by it, and the datagrams that came out."""

    def __init__(self) -> None:
        self.camera = SyntheticCamera()
        self.packetizer = Packetizer()
        self.packetizer.begin_item()
        self.datagrams: list[Datagram] = []

    def feed_frames(self, frames: int) -> None:
        """Feed the camera's next *frames*."""
        for _ in range(frames):
            self.feed(self.camera.frame())

    def feed(self, data: bytes) -> None:
        """Feed *data*."""
        self.datagrams += self.packetizer.feed_untrusted(data)

    def feed_pes(self, pid: int, pts: int) -> None:
        """Feed a PES of audio on *pid*, in addition to those of the camera."""
        self.camera.builder.data.clear()
        self.camera.builder.pes(pid, b"\xff\xf1" + bytes(300), pts=pts)
        self.feed(bytes(self.camera.builder.data))


def faults(harness: PacketizerHarness) -> dict[str, int]:
    """Return the counters of faults that are not 0."""
    usual = {
        "items",
        "datagrams",
        "packets",
        "random_access_points",
        "null_packets",
        "video_pid",
        "inserted_parameter_sets",
    }
    statistics = harness.packetizer.statistics()
    values = {name: getattr(statistics, name) for name in statistics.__struct_fields__ if name not in usual}
    return {name: value for name, value in values.items() if type(value) is int and value}


def check_promises(harness: PacketizerHarness, *, gap_s: float = 0.8) -> Check:
    """End the item and assert what must hold whatever the source did; return the checker for further assertions.

    *gap_s* is the longest interval allowed between two PCRs.
    """
    harness.datagrams += harness.packetizer.end_item()
    check = Check(b"".join(datagram.payload for datagram in harness.datagrams))
    steps = [after - before for (_, before), (_, after) in itertools.pairwise(check.pcrs)]
    assert min(steps) >= 0
    assert max(steps) <= gap_s * PCR_HZ, "too long without a PCR"
    due = [datagram.due_s for datagram in harness.datagrams]
    assert due == sorted(due)
    assert max(after - before for before, after in itertools.pairwise(due)) < 0.2, "a silence"
    burst = max(sum(at <= other < at + 0.1 for other in due) for at in due[::10])
    assert burst < 25, "a burst of more than 2 Mbit/s, where the camera makes 0.7"
    return check


def dts_steps_s(check: Check, pid: int) -> list[float]:
    """Return the seconds from each PES of *pid* to the next."""
    return [(after.dts - before.dts) / 90_000 for before, after in itertools.pairwise(check.pes[pid])]
