"""Writes the carried tracks as one program of MPEG-TS."""

from collections.abc import Callable, Sequence
from typing import Any

import av

from flume.media.mpegts import PACKET_BYTES
from flume.reader.ffmpeg.item_clock import HZ, TIME_BASE
from flume.reader.ffmpeg.pcr_filler import PcrFiller
from flume.reader.ffmpeg.programs import TELETEXT
from flume.reader.ffmpeg.tracks import CarriedTrack, language_of

PCR_LEAD = HZ // 5
"""A frame's bytes leave 0.2 s before it is decoded."""

PCR_STEP = 8 * HZ // 100
"""Longest interval between two PCRs: the standard allows 0.1 s (ISO/IEC 13818-1, 2.7.2)."""

MUXER_OPTIONS = {
    # One audio frame a PES: the muxer would keep several until the next one comes, which may be seconds later.
    "pes_payload_size": "0",
    # The lead of a timestamp over the PCR, microseconds: what a decoder buffers (ISO/IEC 13818-1, 2.4.2.3: up to 1 s).
    "max_delay": str(1_000_000 * PCR_LEAD // HZ),
    "mpegts_copyts": "1",
    # Packets come in their order: the muxer waits for no track.
    "max_interleave_delta": "1",
    # Each frame comes out by itself, so that PCRs can be put between.
    "flush_packets": "1",
    # The packetizer writes tables of its own, every half second.
    "pat_period": "0.5",
    "sdt_period": "3600",
}

BUFFER_BYTES = 348 * PACKET_BYTES
"""64 KB, in whole packets."""

PIECE_BYTES = 32 << 10
"""A file's bytes are handed on in pieces of at least this size, a live source's at once."""


LEAST_PES_BYTES = 171
"""The multiplexer puts smaller audio frames into one PES, and keeps the last of them until another one comes."""

PADDED = frozenset({"aac", "aac_latm", "mp1", "mp2", "mp3", "ac3", "eac3", "dts"})
"""Audio whose decoders look for a sync word: zeros after a frame are skipped. So the last frame before a pause need not
wait in the multiplexer until the sound goes on, and be late by as much."""


def padded(frame: bytes) -> bytes:
    """Return an audio *frame* with zeros behind it; ADTS and LATM count them in their length (ISO/IEC 14496-3, 1.7)."""
    length = max(len(frame), LEAST_PES_BYTES)
    made = bytearray(frame.ljust(length, b"\0"))
    if made[0] == 0xFF and made[1] & 0xF6 == 0xF0:  # ADTS: 13 bits from the 30th on
        made[3] = made[3] & 0xFC | length >> 11
        made[4] = length >> 3 & 0xFF
        made[5] = made[5] & 0x1F | (length & 7) << 5
    elif made[0] == 0x56 and made[1] & 0xE0 == 0xE0:  # LOAS: 13 bits from the 11th on, of what follows them
        made[1] = 0xE0 | length - 3 >> 8
        made[2] = length - 3 & 0xFF
    return bytes(made)


def _padded(packet: Any) -> Any:
    made = av.Packet(padded(bytes(packet)))
    made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
    return made


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
        self._container = av.open(
            _Writer(self._collect), "w", format="mpegts", container_options=MUXER_OPTIONS, buffer_size=BUFFER_BYTES
        )
        self._write, self._least_bytes = write, 1 if live else PIECE_BYTES
        self._filler = PcrFiller(pid=tracks[0].pid, lead=PCR_LEAD, step=PCR_STEP)
        self._pieces = bytearray()
        self._streams: dict[int, Any] = {}
        self._padded = {track.pid for track in tracks if track.codec in PADDED or track.pid in encoders}
        for track in tracks:
            stream = self._add(track, encoders.get(track.pid))
            stream.id = track.pid
            if track.codec != TELETEXT:
                stream.time_base = TIME_BASE
            # "und" says nothing: a PMT with it and one without differ, and clients would have to join anew.
            stream.metadata.clear()
            if language := language_of(track.stream):
                stream.metadata["language"] = language
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

    def write(self, pid: int, packet: Any, dts: int, pts: int, *, is_last: bool = False) -> None:
        """Write *packet* with these timestamps, ticks of 90 kHz; *is_last*: for long none of its track follows."""
        if is_last and pid in self._padded and packet.size < LEAST_PES_BYTES:
            packet = _padded(packet)
        stream = self._streams[pid]
        packet.stream = stream
        packet.time_base = TIME_BASE
        packet.dts, packet.pts = dts, pts
        self._container.mux_one(packet)

    def _collect(self, piece: bytes) -> None:
        self._pieces += self._filler.fill(piece)
        if len(self._pieces) >= self._least_bytes:
            self._hand_on()

    def _hand_on(self) -> None:
        pieces, self._pieces = self._pieces, bytearray()
        self._write(bytes(pieces))

    def close(self) -> None:
        """Write out what the multiplexer holds."""
        self._container.close()
        if self._pieces:
            self._hand_on()
