"""Most packets take the packetizer's fast path: for any input it must give the same result as the slow path."""

from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.media.program import Route
from support.media.camera import SyntheticCamera


class SlowPath(Packetizer):
    """A packetizer in which every packet takes the slow path."""

    def _fast_path_routes(self) -> Mapping[int, Route]:
        return {}


class Fed:
    """A packetizer, and the datagrams that came out of it."""

    def __init__(self, packetizer: Packetizer) -> None:
        self.packetizer = packetizer
        self.out: list[Datagram] = []
        packetizer.begin_item()

    def feed(self, data: bytes, *, piece: int) -> None:
        """Feed *data* in pieces."""
        for start in range(0, len(data), piece):
            self.out += self.packetizer.feed_untrusted(data[start : start + piece])

    def command(self, name: str) -> None:
        if name == "skip" and not self.packetizer.is_skipping:
            self.out += self.packetizer.skip()
        elif name.startswith("resume"):
            self.packetizer.resume(at="keyframe" if name.endswith("keyframe") else "any_frame")
        elif name.endswith("item"):
            self.out += self.packetizer.end_item()
            self.packetizer.begin_item()


def _at_packet(number: int, change: Callable[[bytes], bytes]) -> Callable[[SyntheticCamera], None]:
    def action(camera: SyntheticCamera) -> None:
        def alter(data: bytes) -> bytes:
            if not data:  # a frame without video and audio: change the next one
                return data
            camera.alter = bytes
            at = number * 188 % len(data)
            return data[:at] + change(data[at : at + 188]) + data[at + 188 :]

        camera.alter = alter

    return action


def _set(**values: object) -> Callable[[SyntheticCamera], None]:
    def action(camera: SyntheticCamera) -> None:
        for name, value in values.items():
            setattr(camera if hasattr(camera, name) else camera.builder, name, value)

    return action


def _new_tables(**values: object) -> Callable[[SyntheticCamera], None]:
    def action(camera: SyntheticCamera) -> None:
        _set(**values)(camera)
        camera.builder.version = (camera.builder.version + 1) % 32
        camera.tables_due = True

    return action


def _jump(seconds: float) -> Callable[[SyntheticCamera], None]:
    def action(camera: SyntheticCamera) -> None:
        camera.clock += round(seconds * 90_000)

    return action


def _two_programs(camera: SyntheticCamera) -> None:
    def alter(data: bytes) -> bytes:
        camera.alter = bytes
        camera.builder.data.clear()
        camera.builder.pat((2, 67), (1, 66), (3, 66))
        camera.builder.pmt(program_number=3)
        return bytes(camera.builder.data) + data

    camera.alter = alter


ACTIONS: Mapping[str, Callable[[SyntheticCamera], None]] = {
    "nothing": lambda camera: None,
    "forward": _jump(3600),
    "back": _jump(-10),
    "a little back": _jump(-0.3),
    "no pcr": _set(pcr_pid=None),
    "pcr on audio": _set(pcr_pid=200),
    "pcr on video": _set(pcr_pid=100),
    "near the wrap": _set(clock=2**33 - 20_000),
    "no video": _set(is_without_video=True),
    "video": _set(is_without_video=False),
    "no audio": _set(is_without_audio=True),
    "audio": _set(is_without_audio=False),
    "long audio": _set(audio_bytes=1500),
    "no tables": _set(repeats_tables=False),
    "tables": _set(repeats_tables=True, tables_due=True),
    "no audio in the tables": _new_tables(audio=None),
    "audio in the tables": _new_tables(audio=200),
    "other pids": _new_tables(video=101, audio=201, pcr_pid=101),
    "same pids": _new_tables(video=100, audio=200, pcr_pid=100),
    "exchanged pids": _new_tables(video=200, audio=100, pcr_pid=200),
    "pmt where the video was": _new_tables(pmt_pid=100, video=66),
    "pmt back": _new_tables(pmt_pid=66, video=100),
    "codec": _new_tables(video_type=0x24),
    "old codec": _new_tables(video_type=0x1B),
    "two programs": _two_programs,
    "lost": _at_packet(5, lambda packet: b""),
    "lost start": _at_packet(0, lambda packet: b""),
    "twice": _at_packet(4, lambda packet: packet * 2),
    "start twice": _at_packet(0, lambda packet: packet * 2),
    "error flag": _at_packet(6, lambda packet: bytes([0x47, packet[1] | 0x80]) + packet[2:]),
    "priority flag": _at_packet(6, lambda packet: bytes([0x47, packet[1] | 0x20]) + packet[2:]),
    "scrambled": _at_packet(6, lambda packet: packet[:3] + bytes([packet[3] | 0x80]) + packet[4:]),
    "garbage": _at_packet(3, lambda packet: packet + b"garbage\x47"),
    "cut packet": _at_packet(3, lambda packet: packet[:100]),
    "unreferenced pid": _at_packet(3, lambda packet: packet + b"\x47\x1f\xf0\x10" + bytes(184)),
    "broken table": _at_packet(1, lambda packet: packet[:-1] + b"\x00"),
    "gap": lambda camera: camera.builder.counters.update({100: 3}),
}
STEPS = st.one_of(
    st.sampled_from(sorted(ACTIONS)),
    st.sampled_from(["skip", "resume at keyframe", "resume at any frame", "new item", "cut item"]),
)


@given(script=st.lists(st.tuples(STEPS, st.integers(1, 12)), max_size=25), piece=st.sampled_from([100, 188, 4000]))
@settings(max_examples=150, deadline=None)
def test_both_paths_give_the_same_stream(script: list[tuple[str, int]], piece: int) -> None:
    camera, fast, slow = SyntheticCamera(frame_bytes=1500, gop=8), Fed(Packetizer()), Fed(SlowPath())
    for name, frames in script:
        ACTIONS.get(name, lambda camera: None)(camera)
        data = camera.frames(frames)
        if name == "cut item":
            data = data[: -188 * frames]
        for fed in (fast, slow):
            fed.feed(data, piece=piece)
            fed.command(name)
    for fed in (fast, slow):
        fed.out += fed.packetizer.end_item()
    assert fast.out == slow.out
    assert fast.packetizer.statistics() == slow.packetizer.statistics()
    due = [datagram.due_s for datagram in fast.out]
    assert due == sorted(due)


def test_most_packets_take_the_fast_path() -> None:
    camera, packetizer = SyntheticCamera(), Packetizer()
    packetizer.begin_item()
    packetizer.feed_untrusted(camera.frames(5))
    slow_path = []
    take = packetizer._take

    def counted(packet: bytearray) -> None:
        slow_path.append(packet)
        take(packet)

    packetizer._take = counted  # type: ignore[method-assign]
    data = camera.frames(15)
    packetizer.feed_untrusted(data)
    assert len(slow_path) < len(data) / 188 / 3
