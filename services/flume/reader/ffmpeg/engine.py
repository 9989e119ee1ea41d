"""FFmpeg as an engine: opens an item, says what it promises, and plays it."""

import av
import msgspec

from flume.reader.engine import Sink
from flume.reader.excerpt import excerpt_of
from flume.reader.ffmpeg import cutting
from flume.reader.ffmpeg.files import MappedFile
from flume.reader.ffmpeg.opening import opened
from flume.reader.ffmpeg.pictures import animation_s, is_picture, is_still
from flume.reader.ffmpeg.playing import Playing
from flume.reader.ffmpeg.program_identity import kind_of
from flume.reader.ffmpeg.programs import ProgramTracks, choose
from flume.reader.ffmpeg.rotation import rotation_of
from flume.reader.ffmpeg.tracks import choose_tracks, promise_of
from flume.reader.ffmpeg.transcoding import make_transcoder
from flume.reader.heap import give_back
from flume.reader.messages import Ended, Play, Track


class FfmpegEngine:
    """An :class:`~flume.reader.engine.Engine`."""

    def play(self, item: Play, sink: Sink) -> Ended:
        """Play *item*; see :class:`~flume.reader.engine.Engine`."""
        try:
            return self._play(item, sink)
        finally:
            give_back()

    def _play(self, item: Play, sink: Sink) -> Ended:
        av.logging.set_level(av.logging.FATAL)
        with opened(item) as source:
            container, live, stream = source
            programs = source.programs
            playable = [stream.id for stream in container.streams if stream.type in {"video", "audio"}]
            program = choose(programs, item.program, item.name, playable=playable)
            rotation = rotation_of(item, container)
            # What is to stay, or is to be turned, is encoded anew.
            anew = is_picture(container) or (item.turn and rotation != 0)
            chosen = choose_tracks(container, program, item.name, anew=anew)
            # A picture that is encoded anew anyway is turned.
            left = 0 if any(track.kind == "video" and track.transcoded for track in chosen.described) else rotation
            still_s = item.still_s if is_picture(container) else None
            promised_s = item.still_s if is_still(container) else animation_s(item, container)
            excerpt = excerpt_of(item.options)
            promise = promise_of(
                container, chosen, live=live, program=program, programs=programs, rotation=left, picture_s=promised_s
            )
            sink.open(excerpt.of_promise(promise))
            makers = {
                track.pid: make_transcoder(track.stream, still_s=still_s, rotation=rotation)
                for track in chosen.carried
                if track.decision.carriage == "transcode"
            }
            if not live:
                cutting.begin(container, excerpt, item.name)
            give_back()
            ended = Playing(item, container, chosen.carried, makers, sink.write, live=live, excerpt=excerpt).run()
            return ended if stream is None else _with_changes(ended, stream, program)


def _with_changes(ended: Ended, stream: MappedFile, program: ProgramTracks | None) -> Ended:
    """Return *ended* with what changed in the tables of *stream* while *program* played."""
    now = next((each for each in stream.programs if program is not None and each.number == program.number), None)
    known = program.pids if program is not None else frozenset()
    late = tuple(
        Track(kind=kind_of(track.codec), codec=track.codec or "unknown", language=track.language, number=track.pid)
        for track in (now.tracks if now is not None else ())
        if track.pid not in known
    )
    counts = ended.counts | ({"pid_changes": stream.moves} if stream.moves else {})
    return msgspec.structs.replace(ended, counts=counts, late_tracks=late)
