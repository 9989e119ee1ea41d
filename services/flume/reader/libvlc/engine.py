"""The engine by libvlc: plays one item after another as MPEG-TS.

How libvlc writes into a pipe, and which of its traps shape that, is in :mod:`flume.reader.libvlc.playback`; what its
multiplexer cannot do at all is in decision 0011.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from flume.errors import SourceError
from flume.reader.engine import Sink, UnplayableError
from flume.reader.excerpt import excerpt_of
from flume.reader.libvlc.library import Library
from flume.reader.libvlc.log import VlcLog
from flume.reader.libvlc.playback import FILE_WAIT_MS, LEAST_WAIT_MS, Output, VlcPlayback
from flume.reader.libvlc.programs import choose, programs_of, titles
from flume.reader.libvlc.promise import chain_for, expected_tracks, promised_tracks, rotation_of
from flume.reader.libvlc.table import ItemTable
from flume.reader.libvlc.track import VlcTrack
from flume.reader.messages import Ended, Play, Promise

FILE_SCHEMES = frozenset({"http", "https", "ftp", "ftps", "sftp", "smb"})
"""Schemes of what may be a file. Any other scheme is live."""

HOLD_BYTES, FILE_HOLD_S, LIVE_HOLD_S = 4 << 20, 1.5, 0.5
"""An item begins when its table has all tracks that libvlc announced, or after so much: a track may have no frames."""

MAX_ATTEMPTS = 3
"""How often a file is begun if a track is missing at its beginning, which mostly is a race in libvlc."""

KNOWN_OUTPUTS = 1024
"""Of so many items the engine remembers what had to be transcoded: a loop then begins without a vain attempt."""


class VlcEngine:
    """A :class:`~flume.reader.engine.Engine`. libvlc is loaded by the first item.

    Example::

        engine = VlcEngine()
        ended = engine.play(Play(name="a", location=b"/srv/a.mp4", is_path=True, engine="vlc"), sink)
    """

    def __init__(self) -> None:
        """Load nothing yet."""
        self._library: Library | None = None
        self._instance: Any = None
        self._log = VlcLog()
        self._outputs: dict[tuple[bytes, str | None, bool | None, bool], Output] = {}

    def play(self, item: Play, sink: Sink) -> Ended:
        """Play *item* to its end. Raises :class:`~flume.reader.engine.UnplayableError`."""
        self._load()
        programs = programs_of(item.location) if item.is_path else {}
        program = choose(programs, item.program) if len(programs) > 1 or item.program else None
        tracks = programs[program].tracks if program is not None else ()
        key = item.location, item.transcode, item.live, item.turn
        waits_ms = FILE_WAIT_MS if item.is_path else LEAST_WAIT_MS
        first = Output(_is_live(item), item.transcode, keeps_pids=bool(programs), waits_ms=waits_ms)
        output = self._outputs.get(key, first)
        while True:
            self._log.trim()
            self._log.mark()
            with self._playing(item, output, program) as playback:
                attempt = _Attempt(playback, self._log, item, output, tracks)
                another = attempt.begin()
                if another is None:
                    attempt.finish(sink, attempt.promise(program, titles(programs)))
                    return Ended()
            if len(self._outputs) >= KNOWN_OUTPUTS:
                self._outputs.clear()
            output = another
            self._outputs[key] = output._replace(attempts=1)

    def _load(self) -> None:
        if self._instance is not None:
            return
        try:
            self._library = Library()
        except SourceError as error:
            raise UnplayableError(str(error)) from error
        arguments = ("--intf=dummy", "--quiet", "--no-video-title-show", "--no-stats", *self._log.arguments)
        self._instance = self._library.vlc.Instance(arguments)
        if self._instance is None:
            raise UnplayableError("libvlc does not start: are its plug-ins installed (Debian: vlc-plugin-base)?")

    @contextlib.contextmanager
    def _playing(self, item: Play, output: Output, program: int | None) -> Iterator[VlcPlayback]:
        assert self._library is not None  # noqa: S101 - for the type checker: _load() comes first
        new = self._instance.media_new_path if item.is_path else self._instance.media_new_location
        media = new(item.location)
        for option in item.options:
            # Without the flag "trusted", libvlc itself ignores what writes a file, opens a port or loads a module.
            media.add_option_flag(f":{option}", 0)
        media.add_option(f":image-duration={item.still_s:g}")
        if program is not None:
            media.add_option(f":programs={program}")
        playback = VlcPlayback(self._library, media, self._instance.media_player_new(), output)
        try:
            yield playback
        finally:
            playback.close()

    def close(self) -> None:
        """Free libvlc. The reader does without: its process ends."""
        if self._instance is not None:
            self._instance.release()
            self._instance = None
        self._log.close()


class _Attempt:
    """One way of playing an item, until it gives its first packets or another way has to be tried."""

    def __init__(
        self, playback: VlcPlayback, log: VlcLog, item: Play, output: Output, tracks: tuple[VlcTrack, ...]
    ) -> None:
        self._playback, self._log, self._item, self._output = playback, log, item, output
        self._program_tracks = tracks
        """The tracks of the chosen program, of an item with several: libvlc announces those of all programs."""
        self._table = ItemTable()
        self._head = bytearray()
        self._ended = False

    def begin(self) -> Output | None:
        """Read until the item has begun; return how to write it instead, if it has to begin again.

        Raises :class:`~flume.reader.engine.UnplayableError` if it cannot begin.
        """
        hold_s, first_s = LIVE_HOLD_S if self._output.live else FILE_HOLD_S, None
        while not self._ended:
            data = self._playback.read()
            if data:
                first_s = first_s or time.monotonic()
                self._head += self._table.feed(data)
            self._ended = data == b""
            another = self._another()
            if another is not None:
                return another
            waited_s = time.monotonic() - first_s if first_s else 0.0
            if self._head and (self._is_complete() or waited_s > hold_s or len(self._head) >= HOLD_BYTES):
                break
        if not self._table.pids():
            raise UnplayableError(self._reason(), unreadable=not self._playback.tracks())
        is_whole = self._is_complete() and not self._table.has_grown
        if is_whole or not self._item.is_path or self._output.attempts == MAX_ATTEMPTS:
            return None
        return self._output._replace(attempts=self._output.attempts + 1)

    def _tracks(self) -> tuple[VlcTrack, ...]:
        return self._program_tracks or self._playback.tracks()

    def _is_complete(self) -> bool:
        return 0 < expected_tracks(self._tracks(), self._output.chain) <= len(self._table.pids())

    def _another(self) -> Output | None:
        rejected = self._log.rejected_codecs()
        if rejected or self._item.turn:
            chain = chain_for(self._playback.tracks(), rejected, self._output.chain, turn=self._item.turn)
            if chain is not None:
                return self._output._replace(chain=chain)
        asked = self._item.live is None and not self._item.is_path and not self._output.live
        if asked and self._head and not self._playback.seekable() and self._playback.seconds() is None:
            return self._output._replace(live=True)
        return None

    def _reason(self) -> str:
        error = self._log.reason()
        detail = f" (libvlc: {error})" if error else ""
        if self._item.is_path:
            path = self._item.location.decode("utf-8", "backslashreplace")
            if self._playback.tracks():
                return f"{path} is opened by libvlc, and nothing of it comes out{detail}: is it damaged, or very short?"
            return f"{path} is not a video that libvlc can read{detail}: try it in a player, or convert it"
        detail = detail.replace(self._item.location.decode("utf-8", "replace"), self._item.name)  # no password
        return f"{self._item.name} gives no video{detail}: check the address, and that it is sending"

    def promise(self, program: int | None, programs: tuple[str, ...]) -> Promise:
        """Return what the item promises."""
        tracks = self._tracks()
        seconds = None if self._output.live else self._playback.seconds()
        promise = Promise(
            engine="vlc",
            live=self._output.live,
            seconds=seconds,
            program=program,
            programs=programs,
            rotation=rotation_of(self._playback.tracks(), self._output.chain),
            tracks=promised_tracks(tracks, self._table, self._output.chain, seconds),
        )
        return excerpt_of(self._item.options).of_promise(promise)

    def finish(self, sink: Sink, promise: Promise) -> None:
        """Hand everything to *sink*, from the first packet to the last one."""
        sink.open(promise)
        sink.write(bytes(self._table.completed(self._head)))
        self._head.clear()
        while not self._ended:
            data = self._playback.read()
            if data:
                sink.write(bytes(self._table.feed(data)))
            self._ended = data == b""
            self._log.trim()
        if self._playback.failed:
            raise UnplayableError(f"broke off: {self._log.reason() or 'libvlc gives no reason'}")


def _is_live(item: Play) -> bool:
    """Return whether *item* is live: as it was told, or by its kind of address."""
    if item.live is not None:
        return item.live
    return not item.is_path and urlsplit(item.location.decode("utf-8", "replace")).scheme.lower() not in FILE_SCHEMES
