"""The legs of the media: token out, stream and echoes back, and what becomes of the way during a silence."""

import contextlib
import errno
import time
from collections.abc import Callable, Iterator

from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.control import messages as m
from flume.doctor import diagnosis as d
from flume.doctor import observations as o
from flume.doctor.remedies import Ends
from flume.doctor.session import Ears, MediaProbe
from flume.doctor.sockets import Place, known_path_mtu, plain
from flume.settings import ClientSettings

REPLY_S, TOKEN_S, GOODBYE_S = 2.0, 2.6, 0.5
TOKEN_EVERY_S = 0.5
WINDOW_S = 3.0
FIRST_S = 2.0
"""Without a datagram for this long the window is cut short: there is nothing to measure."""
DRAIN_S, QUIET_S = 1.2, 0.4
"""What was under way when the stream stopped arrives within this time, and without a silence of so long."""
SILENCE_S, LEAST_SILENCE_S = 4.0, 0.5
GRACE_SHARE = 0.2
"""Of the time for which a token counts: kept between the end of the silence and the end of consent."""
BACK_S = 1.0
"""After ``continue`` or a token, datagrams come within a tick and a round trip."""
ECHO_SIZES = (64, 548, 1232, 1328, 1372, 1452, 1472)
"""Above UDP: next to nothing, and what an MTU of 576, 1280 with IPv6, 1356 (the stream), 1400, 1480 and 1500 holds."""
ECHO_AT_S = (0.1, 0.6, 1.2)
"""Into the window; asked again only for what has not come back."""


class MediaExamination:
    """Holds a session of its own on the connection of *ears*; :attr:`buffer` is known once there is a media socket."""

    def __init__(self, ears: Ears, place: Place, ends: Ends, *, deadline_s: float) -> None:
        """Examine the way from the server at *place*, until *deadline_s* (monotonic)."""
        self._ears, self._control = ears, ears.control
        self._place, self._ends, self._deadline_s = place, ends, deadline_s
        self._settings = ClientSettings(host=ends.server)
        self._first_sequence: int | None = None
        self._token_interval_s = self._consent_s = 0.0
        self._probe: MediaProbe | None = None

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)

    @property
    def buffer(self) -> ReceiveBuffer | None:
        """What is known of the receive buffer."""
        if self._probe is None:
            return None
        return ReceiveBuffer(self._settings.receive_buffer_bytes, self._probe.granted_bytes, self._probe.dropped)

    def legs(self, cleanup: contextlib.ExitStack, on_leg: Callable[[str], None]) -> Iterator[d.Finding]:
        """Examine; yield each finding when it is known, and end the session. *cleanup* closes the socket."""
        on_leg("udp_out")
        connected = self._ears.request(m.Connect(), m.Connected, self._until(REPLY_S))
        if connected is None:
            yield d.untested("udp_out", f"the server gave no token: {self._why_not()}")
            return
        self._ends = self._ends._replace(port=connected.port)
        self._token_interval_s = connected.token_interval_ms / 1000
        self._consent_s = connected.consent_timeout_ms / 1000
        try:
            probe = MediaProbe(
                self._place.at(connected.port),
                connected.token,
                buffer_bytes=self._settings.receive_buffer_bytes,
            )
        except OSError as error:
            yield d.untested("udp_out", f"no UDP socket on this machine: {error.strerror}")
            return
        cleanup.callback(probe.close)
        self._ears.media = self._probe = probe
        try:
            yield from self._examine(probe, on_leg)
        finally:
            self._ears.request(m.Disconnect(), m.Disconnected, time.monotonic() + GOODBYE_S)

    def _why_not(self) -> str:
        for message in (self._control.take(m.Refused), self._control.take(m.Closed)):
            if message is not None:
                return message.message
        return self._control.ended or f"no reply within {REPLY_S:g} s"

    def _examine(self, probe: MediaProbe, on_leg: Callable[[str], None]) -> Iterator[d.Finding]:
        token, active = self._give_consent(probe)
        yield d.udp_out(token, self._ends)
        if active is None:
            return
        self._first_sequence = active.first_sequence
        host, port = probe.socket.getsockname()[:2]
        yield d.nat((plain(host), int(port)), (plain(active.address), active.port))
        on_leg("udp_back")
        stream = self._watch(probe)
        back = d.udp_back(stream, self._ends)
        yield back
        yield d.path_mtu(stream, self._ends)
        if back.weight == "blocked" and not stream.received:
            return
        if stream.closed is not None or not self._control.is_open:
            yield d.untested("udp_state", f"the session ended before ({stream.closed or self._control.ended})")
        elif not stream.received:
            yield d.untested("udp_state", "no stream came that could come back")
        else:
            on_leg("udp_state")
            yield self._be_silent(probe, stream)

    # -- the token out -----------------------------------------------------------------------------------------

    def _give_consent(self, probe: MediaProbe) -> tuple[o.TokenSeen, m.Active | None]:
        began_s, until_s = time.monotonic(), self._until(TOKEN_S)
        control = self._control

        def settled() -> bool:
            return control.has(m.Active, m.Closed, m.Notice)

        while time.monotonic() < until_s and control.is_open and not settled():
            if probe.tokens_sent >= 2 and (probe.is_refused or probe.send_error is not None):
                break
            probe.send_token()
            self._ears.listen(min(until_s, time.monotonic() + TOKEN_EVERY_S), settled)
        took_s = time.monotonic() - began_s
        active, outcome, text = control.take(m.Active), "nothing", ""
        if active is not None:
            outcome = "arrived"
        elif (notice := control.take(m.Notice)) is not None:
            outcome, text = "other_address", notice.message
        elif (closed := control.take(m.Closed)) is not None:
            # The server has seen no token, for longer than we would have waited.
            outcome, text = ("nothing" if closed.code == "consent_expired" else "closed"), closed.message
        elif probe.is_refused:
            outcome = "refused"
        elif probe.send_error is not None:
            is_forbidden = probe.send_error.errno in {errno.EPERM, errno.EACCES}
            outcome, text = ("forbidden" if is_forbidden else "nothing"), probe.send_error.strerror or ""
        elif not control.is_open:
            outcome, text = "closed", f"the control connection ended: {control.ended or control.foreign}"
        return o.TokenSeen(outcome, probe.tokens_sent, took_s, probe.refused, text), active

    # -- the stream back ---------------------------------------------------------------------------------------

    def _watch(self, probe: MediaProbe) -> o.StreamSeen:
        began_s, until_s = time.monotonic(), self._until(WINDOW_S)
        control = self._control
        steps = [began_s + at_s for at_s in ECHO_AT_S]

        def ended() -> bool:
            nothing = not probe.received and not probe.echoes_answered
            return control.has(m.Closed) or (nothing and time.monotonic() - began_s >= FIRST_S)

        while (now_s := time.monotonic()) < until_s and control.is_open and not ended():
            if steps and now_s >= steps[0]:
                steps.pop(0)
                for size in sorted({*ECHO_SIZES} - probe.echoes_answered):
                    probe.ask_echo(size)
            if now_s - probe.token_sent_s >= self._token_interval_s:
                probe.send_token()
            due_s = [until_s, probe.token_sent_s + self._token_interval_s, began_s + FIRST_S, *steps[:1]]
            self._ears.listen(min(at_s for at_s in due_s if at_s > now_s), lambda: control.has(m.Closed))
        window_s = max(0.001, time.monotonic() - began_s)
        return self._account(probe, window_s)

    def _account(self, probe: MediaProbe, window_s: float) -> o.StreamSeen:
        """Stop the stream and have the server say how much it was."""
        probe.send_token()  # consent lasts from here on
        interrupted = self._ears.request(m.Interrupt(), m.Interrupted, self._until(REPLY_S))
        closed = self._control.take(m.Closed)
        sent: int | None = None
        if interrupted is not None:
            sent = interrupted.datagrams
            self._drain(probe, interrupted.datagrams)
        elif closed is not None and closed.last_sequence is not None and self._first_sequence is not None:
            sent = (closed.last_sequence - self._first_sequence) % 65536 + 1
        status = None
        if not probe.received and closed is None:
            status = self._ears.request(m.StatusQuery(), m.Status, self._until(REPLY_S))
        return o.StreamSeen(
            window_s=window_s,
            received=probe.received,
            received_bytes=probe.bytes,
            sent=sent,
            dropped_here=probe.dropped,
            longest_gap=probe.longest_gap,
            echoes_asked=tuple(sorted(probe.echoes_asked)),
            echoes_answered=tuple(sorted(probe.echoes_answered)),
            fragment_bytes=probe.fragment_bytes,
            kernel_mtu=known_path_mtu(probe.socket),
            closed=closed.code if closed is not None else None,
            server_drops=status.session.drops if status is not None else {},
        )

    def _drain(self, probe: MediaProbe, sent: int) -> None:
        """Wait for what is still under way: the reply may overtake it, if control does not share its queue."""
        until_s, before = self._until(DRAIN_S), -1
        while before < probe.received < sent and time.monotonic() < until_s:
            before = probe.received
            self._ears.listen(min(until_s, time.monotonic() + QUIET_S), lambda: probe.received >= sent)

    # -- the silence -------------------------------------------------------------------------------------------

    def _be_silent(self, probe: MediaProbe, stream: o.StreamSeen) -> d.Finding:
        consent_left_s = probe.token_sent_s + self._consent_s * (1 - GRACE_SHARE) - time.monotonic()
        time_left_s = self._deadline_s - time.monotonic() - 2.5 * BACK_S
        silence_s = min(SILENCE_S, consent_left_s, time_left_s)
        if silence_s < LEAST_SILENCE_S:
            return d.untested(
                "udp_state", "no time was left for a silence: a leg took too long, or consent ends too soon"
            )
        control = self._control
        began_s = time.monotonic()
        self._ears.listen(began_s + silence_s, lambda: control.has(m.Closed))
        silence_s = time.monotonic() - began_s
        probe.begin()
        self._ears.request(m.Continue(), m.Continued, self._until(REPLY_S))

        def over() -> bool:
            return bool(probe.received) or control.has(m.Closed)

        self._ears.listen(self._until(BACK_S), over)
        before = probe.received
        sent = before or self._sent_since(stream)
        if not sent:  # a live source begins anew
            self._ears.listen(self._until(BACK_S), over)
            before = probe.received
            sent = before or self._sent_since(stream)
        after, moved = 0, None
        if not before and sent and not control.has(m.Closed):
            probe.send_token()
            self._ears.listen(self._until(BACK_S), over)
            after = probe.received
            notice = control.take(m.Notice)
            moved = notice.message if notice is not None else None
        closed = control.take(m.Closed)
        return d.udp_state(
            o.StateSeen(silence_s, sent, before, after, closed.code if closed is not None else None, moved), self._ends
        )

    def _sent_since(self, stream: o.StreamSeen) -> int:
        """Return how many datagrams the server says that it sent after those of *stream*."""
        status = self._ears.request(m.StatusQuery(), m.Status, self._until(REPLY_S))
        return max(0, status.session.datagrams - (stream.sent or 0)) if status is not None else 0
