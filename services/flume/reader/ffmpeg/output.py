"""Writes the carried tracks as one program of MPEG-TS."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av

from flume.reader.ffmpeg.item_clock import HZ
from flume.reader.ffmpeg.programs import TELETEXT
from flume.reader.ffmpeg.tracks import CarriedTrack

TIME_BASE = Fraction(1, HZ)

MUXER_OPTIONS = {
    # One audio frame a PES: the muxer would keep several until the next one comes, which may be seconds later.
    "pes_payload_size": "0",
    # The lead of a timestamp over the PCR, microseconds: what a decoder buffers (ISO/IEC 13818-1, 2.4.2.3: up to 1 s).
    "max_delay": "200000",
    # Packets come in their order: the muxer waits for no track.
    "max_interleave_delta": "1",
    # The packetizer writes tables of its own, every half second.
    "pat_period": "0.5",
    "sdt_period": "3600",
}

LIVE_OPTIONS = {"flush_packets": "1"}
"""A live source's packets go out as they come; a file's collect until the buffer is full."""

BUFFER_BYTES = 64 << 10


class _Writer:
    """What PyAV takes for a file; it cannot seek."""

    name = "item.ts"

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        self._write(bytes(data))
        return len(data)


class TsOutput:
    """A multiplexer with one stream for each of *tracks*; it calls *write* with its bytes."""

    def __init__(
        self, tracks: Sequence[CarriedTrack], encoders: dict[int, Any], write: Callable[[bytes], None], *, live: bool
    ) -> None:
        """*encoders*: the contexts of transcoded tracks by PID, from which the stream gets its parameters."""
        options = MUXER_OPTIONS | (LIVE_OPTIONS if live else {})
        self._container = av.open(
            _Writer(write), "w", format="mpegts", container_options=options, buffer_size=BUFFER_BYTES
        )
        self._streams: dict[int, Any] = {}
        for track in tracks:
            stream = self._add(track, encoders.get(track.pid))
            stream.id = track.pid
            if track.codec != TELETEXT:
                stream.time_base = TIME_BASE
            if track.stream.language:
                stream.metadata["language"] = track.stream.language
            self._streams[track.pid] = stream

    def _add(self, track: CarriedTrack, make: Any) -> Any:
        if make is not None:
            return make(self._container)
        if track.codec == TELETEXT:  # PyAV's FFmpeg has no decoder for it, and so no template
            return self._container.add_mux_stream(TELETEXT)
        return self._container.add_stream_from_template(track.stream, opaque=True)

    def stream(self, pid: int) -> Any:
        """Return the stream that goes out on *pid*."""
        return self._streams[pid]

    def write(self, pid: int, packet: Any, dts: int, pts: int) -> None:
        """Write *packet* with these timestamps, ticks of 90 kHz."""
        stream = self._streams[pid]
        packet.stream = stream
        packet.time_base = TIME_BASE
        packet.dts, packet.pts = dts, pts
        self._container.mux_one(packet)

    def close(self) -> None:
        """Write out what the multiplexer holds."""
        self._container.close()
