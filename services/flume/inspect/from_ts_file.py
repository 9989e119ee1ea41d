"""A file of transport packets in, its figures out. It reads as it goes, so the file may be of any size. Pure."""

from pathlib import Path

from flume.errors import CaptureError
from flume.inspect.from_capture import Progress
from flume.inspect.values import Inspection, Stream
from flume.measures.ts.framing import Framer, Gap, Packets
from flume.measures.ts.stream import TransportStream
from flume.measures.ts.values import Thresholds

BLOCK_BYTES = 1 << 20
_LOOK_BYTES = 1 << 22
"""A file in which no packet begins up to here is no transport stream."""


class _Reading:
    """One pass over a file."""

    def __init__(self, limits: Thresholds) -> None:
        self.framer, self.ts = Framer(), TransportStream(limits)
        self.packets = self.read = 0
        self.cut = 0

    def take(self, pieces: list[Packets | Gap]) -> None:
        for piece in pieces:
            if isinstance(piece, Packets):
                self.packets += len(piece.data) // 188
                self.ts.add_untrusted(piece.data, None)
                continue
            if piece.at_end:
                self.cut = piece.size
            what = "the file ends within a packet" if piece.at_end else "no packets"
            self.ts.lose_sync(f"{piece.size} bytes from byte {piece.offset} on: {what}")


def inspect_ts_file(path: Path, limits: Thresholds, progress: Progress) -> Inspection:
    """Return what the transport stream *path* holds, in packets of 188, 192 or 204 bytes.

    Raises :class:`CaptureError` when it holds none. :class:`KeyboardInterrupt` stops it, with what was read until then.
    """
    reading, size = _Reading(limits), 0
    problems: list[str] = []
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                reading.read += len(block)
                reading.take(reading.framer.feed_untrusted(block))
                if not reading.packets and reading.read >= _LOOK_BYTES:
                    break
                progress(reading.read, size)
        reading.take(reading.framer.finish())
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from error
    except KeyboardInterrupt:
        problems.append(f"stopped after {reading.read} of {size} bytes")
    if not reading.packets:
        what = "is empty" if not reading.read else "is neither a capture (pcap, pcapng) nor a transport stream"
        raise CaptureError(f"{path} {what}")
    if reading.cut:
        problems.append(f"the last {reading.cut} bytes are no whole packet: the file is cut off")
    figures = reading.ts.result()
    stream = Stream(number=1, transport="file", packet_bytes=reading.framer.packet_bytes, ts=figures)
    return Inspection(
        input=str(path),
        kind="ts",
        duration_s=figures.duration_s or 0.0,
        packets=reading.packets,
        problems=problems,
        streams=[stream],
    )
