"""The media socket and the thread that owns it: token out, datagrams in, in order to what shows them or sends them on.

Packets that come over the control connection take the same path from :meth:`Receiver.take_packets` on.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from flume.client.playback.player import Player
from flume.client.reception.loss_record import GivenUp, LossRecord, TooLate
from flume.client.reception.media_socket import MediaSocket
from flume.client.reception.payload_path import PayloadPath, RawTsPath, RtpPath
from flume.client.reception.playout import Output, Playout
from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.client.reception.statistics import ReceptionStatistics
from flume.client.reception.token_timer import TokenTimer
from flume.settings import ClientSettings, PayloadKind, Transport

DRAIN_AT_ONCE = 256
"""Datagrams read before the player gets its share again: at 50 Mbit/s 54 ms of stream."""

DRAIN_AT_END = 4096
"""Datagrams of a window that are read at most once its end is known."""

LONGEST_WAIT_S = 1.0


class StreamSession(NamedTuple):
    """What the reply to ``connect`` says about the stream; *server* is the UDP address of the server.

    With the transport ``tcp`` there is no media socket and no token.
    """

    server: tuple[str, int]
    family: socket.AddressFamily
    token: str
    token_interval_s: float
    payload: PayloadKind
    ssrc: int
    transport: Transport = "udp"
    local_host: str | None = None
    """This host's end of the control connection: the media socket is bound to the same address."""


class Chain(NamedTuple):
    """What datagrams go through: the path of each payload, whose units *output* takes."""

    paths: Mapping[PayloadKind, PayloadPath[Any]]
    output: Output[Any]
    record: LossRecord | None = None
    """Where the paths note what they gave up."""


def to_player(settings: ClientSettings, player: Player) -> Chain:
    """Return the chain that *player* is at the end of."""
    record, capacity = LossRecord() if settings.record else None, settings.buffer_datagrams
    rtp = RtpPath(reorder_ms=settings.reorder_ms, capacity=capacity, record=record)
    return Chain({"rtp": rtp, "ts": RawTsPath()}, Playout(player, capacity=capacity), record)


class Receiver:
    """Begin with :meth:`start`, end with :meth:`close`; every method may be called from any thread."""

    def __init__(self, settings: ClientSettings, chain: Chain) -> None:
        """Send datagrams through *chain*; no socket is opened before :meth:`begin_session`."""
        self._lock = threading.Lock()  # guards what follows, but for the output's write()
        self._record, self._paths, self._output = chain.record, chain.paths, chain.output
        self._path = self._paths[settings.payload]
        self._tokens = TokenTimer()
        self._media = MediaSocket(buffer_bytes=settings.receive_buffer_bytes)
        self._session: StreamSession | None = None
        self._ending = False
        self._closing = False
        self._datagrams = self._bytes = self._unrelated = 0
        self._first_datagram_s: float | None = None
        self._last_datagram_s: float | None = None
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.settimeout(0)
        self._thread = threading.Thread(target=self._run, name="flume-receiver", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # -- the session's events --------------------------------------------------------------------------------

    def begin_session(self, session: StreamSession) -> None:
        """Open the media socket where there is none for this server, and send the token of *session* until it ends.

        Over TCP there is no media socket: one that an earlier session left open is closed. Raises
        :class:`NetworkError`.
        """
        with self._lock:
            self._path = self._paths[session.payload]
            self._path.begin_session(session.ssrc, time.monotonic())
            self._first_datagram_s = None
            if session.transport == "tcp":
                self._media.close()
                self._tokens.end_session()
            else:
                self._media.open(session.server, session.family, session.local_host)
                self._tokens.begin_session(session.token_interval_s)
            if self._session is not None and self._session.ssrc != session.ssrc:
                self._output.forget()
            self._session = session
            self._ending = False
        self._wake()

    def take_packets(self, packets: Sequence[bytes]) -> None:
        """Take RTP *packets* that came over the control connection, in their order."""
        with self._lock:
            now_s = time.monotonic()
            if self._session is None or self._session.transport != "tcp":
                self._unrelated += len(packets)
                return
            for packet in packets:
                self._accept_untrusted(packet, now_s)
        self._wake()

    def repeat_token(self) -> None:
        """The server has had no token for long: send it again now, and often for a while."""
        with self._lock:
            self._tokens.hurry(time.monotonic())
        self._wake()

    def begin_window(self, first_sequence: int | None) -> None:
        """The server delivers from *first_sequence* on (``None`` for raw TS)."""
        with self._lock:
            now_s = time.monotonic()
            self._output.begin_window()
            self._path.begin_window(first_sequence, now_s)
            if self._media.is_open:
                self._tokens.begin_window(now_s)
        self._wake()

    def end_window(self, last_sequence: int | None, datagrams: int) -> None:
        """The server said that the window held *datagrams*, the last with *last_sequence*."""
        with self._lock:
            self._read(DRAIN_AT_END)
            self._path.end_window(last_sequence, datagrams, time.monotonic())
            self._tokens.end_window()
        self._wake()

    def abandon_window(self) -> None:
        """The session ended, and the server did not say with which datagram."""
        with self._lock:
            self._read(DRAIN_AT_END)
            self._path.abandon_window(time.monotonic())
            self._tokens.end_window()
        self._wake()

    def end_session(self) -> None:
        """Repeat the token no more. The socket stays open, so that datagrams still on their way are counted."""
        with self._lock:
            self._tokens.end_session()
            self._ending = True
        self._wake()

    def close(self) -> None:
        """Stop the thread and close the socket."""
        if self._closing:
            return
        self._closing = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            self._media.close()
        self._wake_in.close()
        self._wake_out.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: the thread is about to wake anyway
            self._wake_in.send(b"x")

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        has_more = False
        while not self._closing:
            with self._lock:
                descriptor, timeout_s = self._media.fileno(), self._timeout_s()
            if not has_more:
                self._output.gather(partial(self._wait, descriptor, timeout_s))
            with self._lock:
                now_s = time.monotonic()
                if now_s >= self._tokens.deadline_s(self._last_datagram_s):
                    self._send_token(now_s)
                has_more = self._read(DRAIN_AT_ONCE) == DRAIN_AT_ONCE
                self._collect()
                is_last = self._ending and self._is_empty()
                self._ending = self._ending and not is_last
            self._output.write(is_last=is_last)

    def _read(self, most: int) -> int:
        """Take at most *most* of what the media socket holds, and return how many datagrams that were.

        What the control connection says next comes after them, so they are read before it is carried out: the thread
        may sleep while they wait.
        """
        count = 0
        for data in self._media.read_untrusted(most=most):
            self._accept_untrusted(data, time.monotonic())
            count += 1
        return count

    def _timeout_s(self) -> float:
        deadlines = [self._tokens.deadline_s(self._last_datagram_s)]
        deadlines += [due for due in (self._path.deadline_s(), self._output.deadline_s()) if due is not None]
        return min(max(0.0, min(deadlines) - time.monotonic()), LONGEST_WAIT_S)

    def _wait(self, descriptor: int, timeout_s: float) -> None:
        poller = select.poll()
        poller.register(self._wake_out, select.POLLIN)
        if descriptor >= 0:
            poller.register(descriptor, select.POLLIN)
        # poll counts in milliseconds and returns early rather than late.
        for ready, _ in poller.poll(timeout_s * 1000):
            if ready == self._wake_out.fileno():
                self._wake_out.recv(4096)

    def _send_token(self, now_s: float) -> None:
        if self._session is None or not self._media.is_open:
            self._tokens.end_session()
            return
        self._tokens.note_sent(now_s)
        self._media.send(self._session.token.encode())

    def _accept_untrusted(self, data: bytes, now_s: float) -> None:
        if self._session is None:
            return
        if not self._path.push_untrusted(data, now_s):
            if not self._media.prove_untrusted(data, self._session.token):
                self._unrelated += 1
            return
        self._datagrams += 1
        self._bytes += len(data)
        self._last_datagram_s = now_s
        if self._first_datagram_s is None:
            self._first_datagram_s = now_s

    def _collect(self) -> None:
        now_s = time.monotonic()
        self._output.push(self._path.take(now_s), now_s)
        self._output.prepare(now_s)

    def _is_empty(self) -> bool:
        return self._path.deadline_s() is None and self._output.is_empty

    # -- out -------------------------------------------------------------------------------------------------

    @property
    def first_datagram_s(self) -> float | None:
        """When the session's first datagram came, monotonic seconds."""
        return self._first_datagram_s

    @property
    def last_datagram_s(self) -> float | None:
        """When the latest datagram came, monotonic seconds."""
        return self._last_datagram_s

    @property
    def is_drained(self) -> bool:
        """Whether everything received has gone to the player."""
        with self._lock:
            return not self._ending and self._is_empty()

    def local_address(self) -> tuple[str, int] | None:
        """Return the media socket's own address and port, ``None`` while there is no media socket."""
        with self._lock:
            return self._media.local_address()

    def buffer(self) -> ReceiveBuffer | None:
        """Return what became of the receive buffer asked for, ``None`` while there is no media socket."""
        with self._lock:
            return self._media.buffer()

    def take_losses(self) -> tuple[list[GivenUp], list[TooLate]]:
        """Return what the record of losses has noted since the last call; nothing where none is kept."""
        with self._lock:
            return ([], []) if self._record is None else self._record.take()

    def statistics(self) -> ReceptionStatistics:
        """Return the counters as they are now."""
        with self._lock:
            path = self._path.statistics()
            last_s = self._last_datagram_s
            return ReceptionStatistics(
                transport=None if self._session is None else self._session.transport,
                datagrams=self._datagrams,
                bytes=self._bytes,
                lost=path.lost,
                late=path.late,
                duplicates=path.duplicates,
                reordered=path.reordered,
                unexpected=path.unexpected,
                unrelated=self._unrelated,
                jitter_ms=round(self._path.jitter_ms(), 3),
                loss_runs=dict(path.loss_runs),
                longest_loss_run=path.longest_loss_run,
                windows=path.windows,
                dropped_by_receiver=self._media.dropped(),
                receive_buffer_bytes=self._media.kernel_buffer_bytes(),
                last_datagram_age_s=None if last_s is None else round(time.monotonic() - last_s, 3),
            )
