"""Brings the tracks of an opened item onto one clock and into one order, and writes them as MPEG-TS."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.stream import Discard

from flume.reader.engine import UnplayableError
from flume.reader.excerpt import Excerpt
from flume.reader.ffmpeg.carrying import filters_of
from flume.reader.ffmpeg.cutting import is_transmission, within
from flume.reader.ffmpeg.decode_times import DecodeTimes, Timed
from flume.reader.ffmpeg.interleaver import FILE_PATIENCE, LIVE_PATIENCE, SUBTITLES_DELAY, Interleaver
from flume.reader.ffmpeg.item_clock import TIME_BASE, ItemClock, Place
from flume.reader.ffmpeg.opening import detail_of
from flume.reader.ffmpeg.output import TsOutput
from flume.reader.ffmpeg.priming import Priming
from flume.reader.ffmpeg.stamping import Stamped, Stamper
from flume.reader.ffmpeg.tracks import CarriedTrack, aspect_of
from flume.reader.ffmpeg.transcoding import Transcoder
from flume.reader.messages import Ended, Play

DAMAGES_IN_A_ROW = 200
"""So many errors of reading without a packet between them: the item has broken off."""

NOTIMESTAMPS = 0x0080
"""AVFMT_NOTIMESTAMPS: a bare elementary stream."""


class Playing:
    """One item on its way.

    ::

        packet → both timestamps → the item's one clock → encoder or filter → in order of DTS → multiplexer
    """

    def __init__(
        self,
        item: Play,
        container: InputContainer,
        tracks: tuple[CarriedTrack, ...],
        transcoders: Mapping[int, Transcoder],
        write: Callable[[bytes], None],
        *,
        live: bool,
        excerpt: Excerpt = Excerpt(),  # noqa: B008 - a value
    ) -> None:
        """Bring *tracks* of *container* into MPEG-TS, through *transcoders* by PID, and give it to *write*."""
        self._item, self._container, self._excerpt = item, container, excerpt
        self._tracks = {track.stream.index: track for track in tracks}
        self._clock = ItemClock(may_break=is_transmission(container))
        timed = tuple(track.pid for track in tracks if track.kind in {"video", "audio"})
        self._interleaver: Interleaver[Callable[[bool], None]] = Interleaver(
            timed,
            patience=LIVE_PATIENCE if live else FILE_PATIENCE,
            audio=tuple(track.pid for track in tracks if track.kind == "audio"),
            delay=SUBTITLES_DELAY if len(timed) < len(tracks) else 0,
        )
        self._transcoders = transcoders
        makers = {pid: transcoder.add_to for pid, transcoder in transcoders.items()}
        self._output = TsOutput(tracks, makers, write, live=live)
        self._filters = {
            track.pid: BitStreamFilterContext(chain, track.stream, self._output.stream(track.pid))
            for track in tracks
            if track.decision.carriage == "copy" and (chain := filters_of(track.codec, aspect=aspect_of(track.stream)))
        }
        self._stampers = {
            track.stream.index: Stamper(track.stream, track.codec, untimed=bool(container.format.flags & NOTIMESTAMPS))
            for track in tracks
        }
        self._decode_times: dict[int, DecodeTimes[tuple[Any, int]]] = {
            track.pid: DecodeTimes() for track in tracks if track.kind == "video"
        }
        self._priming = {
            track.pid: Priming(track.stream.codec_context.sample_rate)
            for track in tracks
            if track.kind == "audio" and track.decision.carriage == "copy"
        }
        self._frames: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._last_durations: dict[int, int] = {}
        self._last_dts: dict[int, int] = {}

    def run(self) -> Ended:
        """Play to the end. Raises :class:`UnplayableError`."""
        for stream in self._container.streams:
            if stream is not None and stream.index not in self._tracks:
                stream.discard = Discard.all
        try:
            for packet in self._packets():
                self._take(packet)
            self._finish()
        except av.error.FFmpegError as error:
            raise UnplayableError(f"{self._item.name} broke off: {error.strerror or error}") from error
        if not self._frames:
            raise UnplayableError(
                f"{self._item.name} is a video without a single frame: did a copy or a recording fail?"
            )
        self._counts["clock_jumps"] = self._clock.jumps
        return Ended(
            last_durations=self._last_durations,
            frames=dict(self._frames),
            counts={name: count for name, count in self._counts.items() if count},
        )

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of the carried tracks; damage between them is counted."""
        streams = [self._container.streams[index] for index in self._tracks]
        damages = 0
        at_end = False
        while not at_end:
            try:
                for packet in within(self._container.demux(streams), self._container, self._excerpt):
                    if packet.size:
                        damages = 0
                        yield packet
                at_end = True
            except IndexError:  # PyAV, at the end of an item in which FFmpeg found further tracks meanwhile
                at_end = True
            except (av.error.InvalidDataError, av.error.BlockingIOError) as error:
                # EAGAIN: in damaged bytes FFmpeg asks now and then to be called again.
                damages += 1
                self._counts["damaged_reads"] += 1
                if damages > DAMAGES_IN_A_ROW:
                    raise UnplayableError(f"{self._item.name} broke off: it is damaged") from error
            except (av.error.FFmpegError, OSError) as error:
                raise UnplayableError(f"{self._item.name} broke off: {detail_of(error)}") from error

    def _take(self, packet: Any) -> None:
        track = self._tracks[packet.stream.index]
        for stamped in self._stampers[packet.stream.index].take(packet):
            self._pass_on(track.pid, stamped)

    def _pass_on(self, pid: int, stamped: Stamped) -> None:
        """Bring the packet onto the item's one clock, and encode or filter it."""
        packet = stamped.packet
        place = self._clock.place(pid, stamped.dts, stamped.pts, stamped.duration)
        packet.time_base, packet.duration = TIME_BASE, stamped.duration
        priming = self._priming.get(pid)
        if priming is not None:
            moved = priming.place(packet, place.dts)
            place = Place(moved, max(moved, place.pts))
        packet.dts, packet.pts = place
        transcoder = self._transcoders.get(pid)
        if transcoder is not None:
            with contextlib.suppress(av.error.InvalidDataError):  # a damaged frame; the decoder goes on with the next
                self._encode(pid, transcoder, packet)
            return
        filtering = self._filters.get(pid)
        self._queue_all(pid, filtering.filter(packet) if filtering is not None else [packet])

    def _queue_all(self, pid: int, packets: Sequence[Any]) -> None:
        for packet in packets:
            self._queue(pid, packet, packet.dts, packet.pts, packet.duration or 0)

    def _encode(self, pid: int, transcoder: Transcoder, packet: Any) -> None:
        for encoded in transcoder.take(packet):
            self._queue(pid, encoded.packet, encoded.dts, encoded.pts, encoded.duration)

    def _queue(self, pid: int, packet: Any, dts: int, pts: int, duration: int) -> None:
        times = self._decode_times.get(pid)
        timed = times.push(dts, pts, (packet, duration)) if times is not None else [Timed(dts, pts, (packet, duration))]
        for each in timed:
            self._interleave(pid, each)

    def _interleave(self, pid: int, timed: Timed[tuple[Any, int]]) -> None:
        dts, pts, (packet, duration) = timed

        def write(pauses: bool) -> None:  # noqa: FBT001 - a state
            self._frames[pid] += 1
            self._last_durations[pid] = duration or dts - self._last_dts.get(pid, dts)
            self._last_dts[pid] = dts
            self._output.write(pid, packet, dts, pts, is_last=pauses)

        for ready in self._interleaver.push(pid, dts, packet.size, write):
            ready.packet(ready.pauses)

    def _finish(self) -> None:
        for index, stamper in self._stampers.items():
            for stamped in stamper.flush():
                self._pass_on(self._tracks[index].pid, stamped)
        for pid, filtering in self._filters.items():
            self._queue_all(pid, filtering.filter(None))
        for pid, transcoder in self._transcoders.items():
            self._encode(pid, transcoder, None)
        for pid, times in self._decode_times.items():
            for timed in times.flush():
                self._interleave(pid, timed)
        for ready in self._interleaver.flush():
            ready.packet(ready.pauses)
        self._output.close()
