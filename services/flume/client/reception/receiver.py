"""The media socket and the thread that owns it: token out, datagrams in, ordered and paced on to the player.

Packets that come over the control connection instead take the same way from :meth:`Receiver.take_packets` on.
"""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from flume.client.playback.loopback import Payload
from flume.client.playback.player import Player
from flume.client.reception.jitter import InterarrivalJitter, JitterBuffer
from flume.client.reception.media_socket import dropped_by_kernel, granted_bytes, kernel_buffer_bytes, open_media_socket
from flume.client.reception.pacer import PlayoutPacer
from flume.client.reception.raw_ts import BareClock, BareCount
from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.client.reception.splicer import Splicer
from flume.client.statistics import ReceptionStatistics
from flume.errors import NetworkError, RemoteProtocolError
from flume.media import rtp
from flume.settings import ClientSettings, PayloadKind, Transport

MAX_DATAGRAM_BYTES = 65_535
DRAIN_AT_ONCE = 256
"""Datagrams read before the player gets its share again: at 50 Mbit/s 54 ms of stream."""

QUIET_TOKEN_S = 0.5
"""An active stream that is silent for so long gets its token repeated at once, and this often: a NAT or firewall that
has forgotten the flow opens again, and the server learns the new port. Longer than the pauses of a stream that is well;
at the usual interval of the token the picture would stand for up to 2 s. Likewise before the first window: a lossy way
is not to be taken for a blocked one because two tokens were lost."""

_log = logging.getLogger(__name__)


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


class _Unit(NamedTuple):
    timestamp: int
    payload: memoryview


class Receiver:
    """Begin with :meth:`start`; every method may be called from any thread."""

    def __init__(self, settings: ClientSettings, player: Player) -> None:
        """Feed *player*; no socket is opened before :meth:`begin_session`."""
        self._settings = settings
        self._player = player
        self._lock = threading.Lock()
        self._jitter: JitterBuffer[_Unit] = JitterBuffer(
            reorder_ms=settings.reorder_ms, capacity=settings.buffer_datagrams
        )
        self._spacing = InterarrivalJitter()
        self._pacer: PlayoutPacer[_Unit] = PlayoutPacer(capacity=settings.buffer_datagrams)
        self._socket: socket.socket | None = None
        self._session: StreamSession | None = None
        self._token_due_s = float("inf")
        self._is_awaited = False
        self._token_sent_s = 0.0
        self._window_s: float | None = None
        """When the window began in which datagrams are to come over UDP; None outside of one."""
        self._bare_clock = BareClock()
        self._bare_count = BareCount()
        self._splicer = Splicer()
        self._ending = False
        self._closing = False
        self._datagrams = self._bytes = self._foreign = 0
        self._drops_of_closed = 0
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
        """Open the media socket if need be and send the token of *session*; repeat it until it ends.

        Over TCP nothing is opened, and what a socket of before still brings is nobody's.
        """
        with self._lock:
            self._jitter.reset(time.monotonic())
            self._first_datagram_s = None
            if session.transport == "tcp":
                self._close_socket()
            elif self._socket is None or self._session is None or self._session.server != session.server:
                self._close_socket()
                self._socket = self._open(session)
            if self._session is not None and self._session.ssrc != session.ssrc:
                self._splicer.forget()
            self._session = session
            self._ending = False
            self._is_awaited = session.transport == "udp"
            self._token_due_s = 0.0 if self._is_awaited else float("inf")
        self._wake()

    def take_packets(self, packets: Sequence[bytes]) -> None:
        """Take RTP *packets* that came over the control connection, in their order."""
        with self._lock:
            now_s = time.monotonic()
            if self._session is None or self._session.transport != "tcp":
                self._foreign += len(packets)
                return
            for packet in packets:
                self._accept_untrusted(packet, now_s)
        self._wake()

    def begin_window(self, first_sequence: int | None) -> None:
        """The server said that datagrams flow from *first_sequence* (``None`` for bare TS)."""
        with self._lock:
            self._pacer.begin_window()
            self._spacing.begin_window()
            if first_sequence is not None:
                self._jitter.begin_window(first_sequence, time.monotonic())
            else:
                self._bare_count.begin_window()
            self._window_s = None if self._socket is None else time.monotonic()
            self._is_awaited = False
        self._wake()

    def end_window(self, last_sequence: int | None, datagrams: int) -> None:
        """The server said that the window held *datagrams*, the last with *last_sequence*."""
        with self._lock:
            if self._session is not None and self._session.payload == "ts":
                self._bare_count.end_window(datagrams)
            self._jitter.end_window(last_sequence if datagrams else None, time.monotonic())
            self._window_s = None
        self._wake()

    def abandon_window(self) -> None:
        """The session ended and nobody said with which datagram."""
        with self._lock:
            self._jitter.abandon_window(time.monotonic())
            self._bare_count.abandon_window()
            self._window_s = None
        self._wake()

    def end_session(self) -> None:
        """Repeat the token no more. The socket stays open, so that what is still under way is counted."""
        with self._lock:
            self._token_due_s = float("inf")
            self._window_s = None
            self._is_awaited = False
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
            self._close_socket()
        self._wake_in.close()
        self._wake_out.close()

    # -- the socket ------------------------------------------------------------------------------------------

    def _open(self, session: StreamSession) -> socket.socket:
        wished = self._settings.receive_buffer_bytes
        try:
            return open_media_socket(session.server, session.family, buffer_bytes=wished)
        except OSError as error:
            address, port = session.server
            raise NetworkError(f"cannot open a media socket to {address} port {port}: {error.strerror}") from error

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._drops_of_closed += dropped_by_kernel(self._socket)
            self._socket.close()
            self._socket = None

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: the thread is about to wake anyway
            self._wake_in.send(b"x")

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            with self._lock:
                media, timeout_s = self._socket, self._timeout_s()
            self._wait(media, timeout_s)
            with self._lock:
                now_s = time.monotonic()
                if now_s >= self._token_deadline_s():
                    self._send_token(now_s)
                self._receive()
                units = self._collect()
                ending = self._is_over()
            self._play(units, ending=ending)

    def _play(self, units: Sequence[_Unit], *, ending: bool) -> None:
        """Give the player all that is due in one call: it has a system call or two for each."""
        payloads: list[Payload] = []
        for unit in units:
            primer = self._splicer.before(unit.timestamp, unit.payload, time.monotonic())
            payloads += (primer, unit.payload) if primer else (unit.payload,)
        if ending and (last := self._splicer.ending()):
            payloads.append(last)
        if payloads:
            self._player.write(payloads)

    def _token_deadline_s(self) -> float:
        """Return when the next token is due: at its interval, or sooner where a stream is awaited or silent."""
        if self._is_awaited and self._socket is not None:
            return min(self._token_due_s, self._token_sent_s + QUIET_TOKEN_S)
        if self._window_s is None or self._socket is None:
            return self._token_due_s
        silent_since_s = max(self._window_s, self._last_datagram_s or 0.0, self._token_sent_s)
        return min(self._token_due_s, silent_since_s + QUIET_TOKEN_S)

    def _timeout_s(self) -> float:
        deadlines = [self._token_deadline_s()]
        deadlines += [due for due in (self._jitter.deadline_s(), self._pacer.deadline_s()) if due is not None]
        return min(max(0.0, min(deadlines) - time.monotonic()), 1.0)

    def _wait(self, media: socket.socket | None, timeout_s: float) -> None:
        poller = select.poll()
        poller.register(self._wake_out, select.POLLIN)
        if media is not None and media.fileno() >= 0:
            poller.register(media, select.POLLIN)
        # poll counts in milliseconds and returns early rather than late.
        for descriptor, _ in poller.poll(timeout_s * 1000):
            if descriptor == self._wake_out.fileno():
                self._wake_out.recv(4096)

    def _send_token(self, now_s: float) -> None:
        session = self._session
        if session is None or self._socket is None:
            self._token_due_s = float("inf")
            return
        self._token_due_s, self._token_sent_s = now_s + session.token_interval_s, now_s
        try:
            self._socket.send(session.token.encode())
        except OSError as error:  # refused, unreachable, no route: the next interval tries again
            _log.debug("token to %s: %s", session.server, error)

    def _receive(self) -> None:
        if self._socket is None:
            return
        for _ in range(DRAIN_AT_ONCE):
            try:
                data = self._socket.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # ECONNREFUSED: an earlier token met a closed port
                _log.debug("media socket: %s", error)
                continue
            self._accept_untrusted(data, time.monotonic())

    def _accept_untrusted(self, data: bytes, now_s: float) -> None:
        session = self._session
        if session is None:
            return
        if session.payload == "ts":
            if data[:1] != b"\x47":
                self._foreign += 1
                return
            self._bare_count.add()
            self._count(len(data), now_s)
            timestamp = self._bare_clock.timestamp_untrusted(data)
            self._pacer.push(timestamp, _Unit(timestamp, memoryview(data)), now_s)
            return
        try:
            packet = rtp.parse_untrusted(data)
        except RemoteProtocolError:
            self._foreign += 1
            return
        if packet.ssrc != session.ssrc:
            self._foreign += 1
            return
        self._count(len(data), now_s)
        self._spacing.add(packet.timestamp, now_s)
        self._jitter.push(packet.sequence, _Unit(packet.timestamp, packet.payload), now_s)

    def _count(self, size: int, now_s: float) -> None:
        self._datagrams += 1
        self._bytes += size
        self._last_datagram_s = now_s
        if self._first_datagram_s is None:
            self._first_datagram_s = now_s

    def _collect(self) -> list[_Unit]:
        now_s = time.monotonic()
        for unit in self._jitter.take(now_s):
            self._pacer.push(unit.timestamp, unit, now_s)
        return self._pacer.take(now_s)

    def _is_over(self) -> bool:
        """Say, once a session, that all of it has gone to the player."""
        over = self._ending and self._jitter.deadline_s() is None and not len(self._pacer)
        self._ending = self._ending and not over
        return over

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
            return not self._ending and self._jitter.deadline_s() is None and not len(self._pacer)

    def local_address(self) -> tuple[str, int] | None:
        """Return the media socket's own address and port."""
        with self._lock:
            if self._socket is None:
                return None
            host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def buffer(self) -> ReceiveBuffer | None:
        """Return what became of the receive buffer asked for, while there is a media socket."""
        with self._lock:
            if self._socket is None:
                return None
            granted, dropped = granted_bytes(self._socket), dropped_by_kernel(self._socket)
        return ReceiveBuffer(self._settings.receive_buffer_bytes, granted, dropped)

    def statistics(self) -> ReceptionStatistics:
        """Return the counters as they are now."""
        with self._lock:
            jitter = self._jitter.statistics()
            last_s = self._last_datagram_s
            media = self._socket
            return ReceptionStatistics(
                transport=None if self._session is None else self._session.transport,
                datagrams=self._datagrams,
                bytes=self._bytes,
                lost=jitter.lost + self._bare_count.lost,
                late=jitter.late,
                duplicates=jitter.duplicates,
                reordered=jitter.reordered,
                unexpected=jitter.unexpected,
                foreign=self._foreign,
                jitter_ms=round(self._spacing.jitter_ms, 3),
                loss_runs=dict(jitter.loss_runs),
                longest_loss_run=jitter.longest_loss_run,
                windows=jitter.windows + self._bare_count.windows,
                dropped_by_receiver=self._drops_of_closed + (dropped_by_kernel(media) if media else 0),
                receive_buffer_bytes=kernel_buffer_bytes(media) if media else 0,
                last_datagram_age_s=None if last_s is None else round(time.monotonic() - last_s, 3),
            )
