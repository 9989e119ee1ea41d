"""Most packets take a short way through the packetizer: it must lead where the long one does, whatever comes."""

from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.media.program import Route
from support.media.camera import Camera


class LongWay(Packetizer):
    """A packetizer that takes the long way with every packet."""

    def _plain_routes(self) -> Mapping[int, Route]:
        return {}


class Way:
    """A packetizer, and what came out of it."""

    def __init__(self, packetizer: Packetizer) -> None:
        self.packetizer = packetizer
        self.out: list[Datagram] = []
        packetizer.begin_item()

    def put(self, data: bytes, *, piece: int) -> None:
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


def _at_packet(number: int, change: Callable[[bytes], bytes]) -> Callable[[Camera], None]:
    def action(camera: Camera) -> None:
        def spoil(data: bytes) -> bytes:
            if not data:  # neither picture nor sound: with the next frame, then
                return data
            camera.spoil = bytes
            at = number * 188 % len(data)
            return data[:at] + change(data[at : at + 188]) + data[at + 188 :]

        camera.spoil = spoil

    return action


def _set(**values: object) -> Callable[[Camera], None]:
    def action(camera: Camera) -> None:
        for name, value in values.items():
            setattr(camera if hasattr(camera, name) else camera.builder, name, value)

    return action


def _new_tables(**values: object) -> Callable[[Camera], None]:
    def action(camera: Camera) -> None:
        _set(**values)(camera)
        camera.builder.version = (camera.builder.version + 1) % 32
        camera.tables_due = True

    return action


def _jump(seconds: float) -> Callable[[Camera], None]:
    def action(camera: Camera) -> None:
        camera.clock += round(seconds * 90_000)

    return action


def _two_programs(camera: Camera) -> None:
    def spoil(data: bytes) -> bytes:
        camera.spoil = bytes
        camera.builder.data.clear()
        camera.builder.pat((2, 67), (1, 66), (3, 66))
        camera.builder.pmt(program_number=3)
        return bytes(camera.builder.data) + data

    camera.spoil = spoil


ACTIONS: Mapping[str, Callable[[Camera], None]] = {
    "nothing": lambda camera: None,
    "forward": _jump(3600),
    "back": _jump(-10),
    "a little back": _jump(-0.3),
    "no clock": _set(pcr_pid=None),
    "clock on sound": _set(pcr_pid=200),
    "clock on picture": _set(pcr_pid=100),
    "near the end of time": _set(clock=2**33 - 20_000),
    "darkness": _set(dark=True),
    "light": _set(dark=False),
    "silence": _set(silent=True),
    "sound": _set(silent=False),
    "long sound": _set(sound_bytes=1500),
    "no tables": _set(repeats_tables=False),
    "tables": _set(repeats_tables=True, tables_due=True),
    "no sound in the tables": _new_tables(audio=None),
    "sound in the tables": _new_tables(audio=200),
    "other pids": _new_tables(video=101, audio=201, pcr_pid=101),
    "same pids": _new_tables(video=100, audio=200, pcr_pid=100),
    "exchanged pids": _new_tables(video=200, audio=100, pcr_pid=200),
    "pmt where the picture was": _new_tables(pmt_pid=100, video=66),
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
    "foreign": _at_packet(3, lambda packet: packet + b"\x47\x1f\xf0\x10" + bytes(184)),
    "broken table": _at_packet(1, lambda packet: packet[:-1] + b"\x00"),
    "gap": lambda camera: camera.builder.counters.update({100: 3}),
}
STEPS = st.one_of(
    st.sampled_from(sorted(ACTIONS)),
    st.sampled_from(["skip", "resume at keyframe", "resume at picture", "new item", "cut item"]),
)


@given(script=st.lists(st.tuples(STEPS, st.integers(1, 12)), max_size=25), piece=st.sampled_from([100, 188, 4000]))
@settings(max_examples=150, deadline=None)
def test_both_ways_lead_to_the_same_stream(script: list[tuple[str, int]], piece: int) -> None:
    camera, short, long = Camera(frame_bytes=1500, gop=8), Way(Packetizer()), Way(LongWay())
    for name, frames in script:
        ACTIONS.get(name, lambda camera: None)(camera)
        data = camera.frames(frames)
        if name == "cut item":
            data = data[: -188 * frames]
        for way in (short, long):
            way.put(data, piece=piece)
            way.command(name)
    for way in (short, long):
        way.out += way.packetizer.end_item()
    assert short.out == long.out
    assert short.packetizer.statistics() == long.packetizer.statistics()
    due = [datagram.due_s for datagram in short.out]
    assert due == sorted(due)


def test_most_packets_take_the_short_way() -> None:
    camera, packetizer = Camera(), Packetizer()
    packetizer.begin_item()
    packetizer.feed_untrusted(camera.frames(5))
    long_way = []
    take = packetizer._take

    def counted(packet: bytearray) -> None:
        long_way.append(packet)
        take(packet)

    packetizer._take = counted  # type: ignore[method-assign]
    data = camera.frames(15)
    packetizer.feed_untrusted(data)
    assert len(long_way) < len(data) / 188 / 3
