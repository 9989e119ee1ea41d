"""The player on libvlc: it plays in a process of its own, which may crash, hang or grow, and is started again.

The media go straight to libvlc, over a UDP port of the loopback interface. What was displayed comes back as messages
(:mod:`flume.client.playback.process_messages`), and is added up here over the lives of the process.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from flume.client.playback import display
from flume.client.playback.loopback import LoopbackSender, Payload
from flume.client.playback.player import PlayerStatistics
from flume.client.playback.process_messages import Expect, Play, Received, Report
from flume.client.playback.vlc_options import VlcOptions, headless_options, window_options
from flume.client.playback.vlc_process import REPORT_INTERVAL_S, VlcProcess
from flume.errors import PlayerError

MOST_SHOWN = 8192
"""Pictures recorded and not taken: five minutes at 25 a second. Beyond that the oldest are forgotten."""

DRAINED_AFTER_S = 0.4 + REPORT_INTERVAL_S
"""Without a new frame for this long the player has shown all that it has: ten frames at 25 per second, reported."""

WINDOW_DRAINED_AFTER_S = 0.8 + REPORT_INTERVAL_S
"""The same in a window, where libvlc updates its count four times a second."""

ANSWER_WAIT_S = 0.02
"""How long :meth:`VlcPlayer.poll` waits for an answer, which takes a millisecond. A later one is taken next time."""

START_STEP_S = 0.1

STEADY_S = 3.0
"""A process that has played for this long is started again at once; one that fails sooner repeatedly waits longer and
longer, up to :data:`LONGEST_PAUSE_S`."""

LONGEST_PAUSE_S = 10.0

_log = logging.getLogger(__name__)


class VlcPlayer:
    """A :class:`~flume.client.playback.player.Player` on libvlc."""

    def __init__(
        self,
        *,
        windowed: bool,
        network_caching_ms: int,
        decoder_threads: int | None = None,
        title: str = "flume",
        record: bool = False,
    ) -> None:
        """Show in a window with *title*, or headless.

        libvlc starts to show *network_caching_ms* after the first datagram. For *decoder_threads* see
        :mod:`flume.client.playback.vlc_options`. *record*: keep each picture's time for :meth:`take_shown`; headless
        only, because in a window libvlc names none.
        """
        self.drained_after_s = WINDOW_DRAINED_AFTER_S if windowed else DRAINED_AFTER_S
        options = _options(windowed, title, network_caching_ms, decoder_threads)
        self._play = Play(
            windowed=windowed,
            instance_options=options.instance,
            media_options=options.media,
            buffer_s=network_caching_ms / 1000,
            record=record and not windowed,
        )
        self._shown: deque[tuple[float, int | None]] = deque(maxlen=MOST_SHOWN)
        self._guard = threading.Lock()
        """Guards the process, the sender and what is expected; held for no longer than it takes to send a batch."""
        self._polling = threading.Lock()
        """Held while the process is looked at, started or ended."""
        self._process: VlcProcess | None = None
        self._sender: LoopbackSender | None = None
        self._is_open = False
        self._expected = 0
        self._awaits_datagram = False
        self._first: tuple[int, float] | None = None
        """The latest number expected of which the first frame was displayed, and when."""
        self._displayed = PlayerStatistics(kind="window" if windowed else "headless")
        self._frames_before = 0
        """Frames of the lives before the present one."""
        self._refused = 0
        self._restarts = 0
        self._early_faults = 0
        self._start_due_s = 0.0

    def start(self) -> None:
        """Start libvlc and wait until it listens; raises :class:`PlayerError`."""
        try:
            with self._polling:
                self._is_open = True
                self._begin()
                while self._sender is None:
                    self._look(timeout_s=START_STEP_S)
        except PlayerError:
            self.close()
            raise

    def _begin(self) -> None:
        expected = self._expected
        process = VlcProcess(msgspec.structs.replace(self._play, expected=expected))
        with self._guard:
            self._process = process
            if self._expected != expected:
                process.send(Expect(self._expected))

    def _look(self, *, timeout_s: float) -> None:
        process = self._process
        if process is None:
            return
        process.look(timeout_s=timeout_s, is_urgent=self._first is None or self._first[0] != self._expected)
        if self._sender is None and process.port is not None:
            with self._guard:
                self._sender = LoopbackSender(process.port)
        self._take(process.report)
        self._shown += process.take_shown()

    def _take(self, report: Report) -> None:
        before = self._displayed
        if report.first_s is not None and (self._first is None or self._first[0] != report.expected):
            self._first = report.expected, report.first_s
        self._displayed = PlayerStatistics(
            kind=before.kind,
            frames_displayed=self._frames_before + report.frames,
            last_frame_s=report.last_s if report.last_s is not None else before.last_frame_s,
            last_frame_number=report.number,
            width=report.width or before.width,
            height=report.height or before.height,
        )

    def write(self, payloads: Sequence[Payload]) -> None:
        """Send the transport packets of some datagrams to libvlc; datagrams that it does not take are counted."""
        with self._guard:
            if self._sender is None or self._process is None:
                self._refused += len(payloads)
                return
            refused = self._sender.send(payloads)
            self._refused += refused
            if self._awaits_datagram and refused < len(payloads):
                self._awaits_datagram = False
                self._process.send(Received(time.monotonic()))

    def expect_frame(self) -> None:
        """Forget when the last first frame was displayed."""
        with self._guard:
            self._expected += 1
            self._awaits_datagram = True
            if self._process is not None:
                self._process.send(Expect(self._expected))

    def poll(self) -> None:
        """Take over what libvlc has displayed; start it again, in the background, where it has failed.

        Waits :data:`ANSWER_WAIT_S` at most, and for the end of a process that is killed.
        """
        with self._polling:
            if not self._is_open:
                return
            try:
                if self._process is not None:
                    self._look(timeout_s=ANSWER_WAIT_S)
                elif time.monotonic() >= self._start_due_s:
                    self._restarts += 1
                    self._begin()
            except PlayerError as fault:
                self._recover(fault)

    def _recover(self, fault: PlayerError) -> None:
        now_s = time.monotonic()
        was_steady = self._process is not None and now_s - self._process.began_s > STEADY_S
        self._early_faults = 0 if was_steady else self._early_faults + 1
        pause_s = 0.0 if self._early_faults < 2 else min(2.0 ** (self._early_faults - 2), LONGEST_PAUSE_S)
        self._start_due_s = now_s + pause_s
        self._end()
        when = f" in {pause_s:g} s" if pause_s else ""
        _log.warning("%s: starting it again%s; the picture returns with the next keyframe", fault, when)

    def _end(self) -> None:
        with self._guard:
            process, self._process = self._process, None
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
        if process is not None:
            self._frames_before += process.report.frames
            process.kill()

    def statistics(self) -> PlayerStatistics:
        """Return the counters as of the last :meth:`poll`; never waits for libvlc."""
        first = self._first
        return msgspec.structs.replace(
            self._displayed,
            first_frame_s=first[1] if first is not None and first[0] == self._expected else None,
            datagrams_refused=self._refused,
            restarts=self._restarts,
        )

    def take_shown(self) -> list[tuple[float, int | None]]:
        """Return the pictures recorded since the last call, as of the last :meth:`poll`."""
        return [self._shown.popleft() for _ in range(len(self._shown))]

    def close(self) -> None:
        """End libvlc and its process at once."""
        with self._polling:
            self._is_open = False
            self._end()


def _options(windowed: bool, title: str, network_caching_ms: int, decoder_threads: int | None) -> VlcOptions:  # noqa: FBT001
    if not windowed:
        return headless_options(network_caching_ms=network_caching_ms, decoder_threads=decoder_threads)
    has_audio = display.has_audio(os.environ)
    if not has_audio:
        _log.info("no audio device here: playing without audio")
    return window_options(
        title=title,
        network_caching_ms=network_caching_ms,
        decoder_threads=decoder_threads,
        has_audio=has_audio,
        has_graphics_card=display.has_graphics_card(),
    )
