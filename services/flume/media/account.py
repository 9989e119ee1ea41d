"""Counts what an item has sent so far, track by track, so that it can be compared with what the item promised."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flume.media.mpegts import PACKET_BYTES
from flume.media.program import Route, StreamKind


class TrackAccount(NamedTuple):
    """What was sent of one elementary stream of the present item."""

    frames: int
    """PES: pictures of a video, one or more frames of audio each."""
    first_dts: int | None
    """90 kHz on the endless timeline, so without wraps; ``None`` before the first PES with a timestamp."""
    last_dts: int | None
    """The highest, 90 kHz."""
    bytes: int
    """Of its packets. Packets are counted from one PES to the next, of whichever stream: where a multiplexer
    interleaves the packets of two PES, they are counted for the stream whose PES began last."""
    kind: StreamKind
    stream_type: int


class _Track:
    __slots__ = ("first_dts", "frames", "last_dts", "packets", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.frames = self.packets = 0
        self.first_dts: int | None = None
        self.last_dts: int | None = None

    def account(self) -> TrackAccount:
        route, length = self.route, self.packets * PACKET_BYTES
        return TrackAccount(self.frames, self.first_dts, self.last_dts, length, route.kind, route.stream_type)


class ItemAccount:
    """The tracks of one item by incoming PID. Works once a PES, and never once a packet.

    Example::

        account.on_pes(packet_pid, route, dts=dts, number=builder.packets)
        frames = account.tracks(number=builder.packets)[packet_pid].frames
    """

    def __init__(self) -> None:
        """Begin before the first item."""
        self._tracks: dict[int, _Track] = {}
        self._last: _Track | None = None
        self._since = 0

    def begin_item(self) -> None:
        """Forget the item before."""
        self._tracks, self._last = {}, None

    def pause(self, number: int) -> None:
        """Packets from *number* of the outgoing stream on belong to no track: tables, padding and PCRs."""
        if self._last is not None:
            self._last.packets += number - self._since
        self._last = None

    def on_pes(self, pid: int, route: Route, *, dts: int | None, number: int) -> None:
        """A PES of the incoming *pid* begins in packet *number* of the outgoing stream, with *dts* (90 kHz) there."""
        self.pause(number)
        track = self._tracks.get(pid)
        if track is None:
            track = self._tracks[pid] = _Track(route)
        self._last, self._since, track.route = track, number, route
        track.frames += 1
        if dts is not None:
            track.first_dts = dts if track.first_dts is None else track.first_dts
            track.last_dts = dts if track.last_dts is None else max(track.last_dts, dts)

    def leave_out(self, packets: int) -> None:
        """Count the outgoing stream's last *packets* for no track: they came in the middle of a PES."""
        self._since += packets

    def take_back(self, pids: Iterable[int]) -> None:
        """Count one PES less for each of the outgoing *pids*: it was cut off and is not sent."""
        taken = set(pids)
        for track in self._tracks.values():
            track.frames -= track.route.pid in taken

    def tracks(self, *, number: int) -> Mapping[int, TrackAccount]:
        """Return the account by incoming PID; *number* is that of the outgoing stream's next packet."""
        if self._last is not None:
            self._last.packets += number - self._since
            self._since = number
        return {pid: track.account() for pid, track in self._tracks.items()}
