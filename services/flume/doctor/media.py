"""The legs that need a session: the token out, the stream and echoes back, and the path after a silence."""

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence

from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.control import messages
from flume.doctor import diagnosis, observations
from flume.doctor.remedies import PathEnds
from flume.doctor.session import MediaProbe, Poller
from flume.doctor.silence import LEAST_SILENCE_S, REPLY_S, SilenceTest
from flume.doctor.sockets import Endpoint, known_path_mtu, plain_address
from flume.media.ring import DATAGRAM_BYTES
from flume.settings import ClientSettings

TOKEN_S, GOODBYE_S = 2.6, 0.5
TOKEN_EVERY_S = 0.5
WINDOW_S = 3.0
"""For which the stream is received."""
FIRST_S = 2.0
"""Without a datagram for this long the window is cut short: there is nothing to measure."""
DRAIN_S, QUIET_S = 1.2, 0.4
"""Datagrams that were on their way when the stream stopped arrive within DRAIN_S, with gaps shorter than QUIET_S."""
PORT_UNREACHABLE = "port_unreachable"
ECHO_SIZES = (64, 548, 1232, 1328, 1372, 1452, 1472)
"""UDP payloads: a small one, then the largest for MTUs of 576, 1280 with IPv6, 1356 (the stream), 1400, 1480, 1500."""
ECHO_AT_S = (0.1, 0.6, 1.2)
"""Times in the window; later requests are only for the sizes that have not come back."""


class MediaExamination:
    """Holds a session of its own on the control connection of a :class:`Poller`."""

    def __init__(self, poller: Poller, endpoint: Endpoint, path: PathEnds, *, deadline_s: float) -> None:
        """Examine the path from the server at *endpoint*, until *deadline_s* (monotonic)."""
        self._poller, self._control = poller, poller.control
        self._endpoint, self._path, self._deadline_s = endpoint, path, deadline_s
        self._settings = ClientSettings(host=path.named)
        self._first_sequence: int | None = None
        self._token_interval_s = self._consent_s = 0.0
        self._probe: MediaProbe | None = None
        self._is_rejected = False

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)

    @property
    def buffer(self) -> ReceiveBuffer | None:
        """The receive buffer of the media socket; ``None`` before there is one."""
        if self._probe is None:
            return None
        return ReceiveBuffer(self._settings.receive_buffer_bytes, self._probe.granted_bytes, self._probe.dropped)

    def legs(self, cleanup: contextlib.ExitStack, on_leg: Callable[[str], None]) -> Iterator[diagnosis.Finding]:
        """Yield each finding when it is known, then end the session. *cleanup* closes the media socket later.

        *on_leg* is called with the name of a leg before its examination.
        """
        on_leg("udp_out")
        connected = self._poller.request(messages.Connect(), messages.Connected, self._until(REPLY_S))
        if connected is None:
            yield diagnosis.untested("udp_out", f"the server gave no token: {self._why_not()}")
            return
        self._path = self._path._replace(port=connected.port)
        self._token_interval_s = connected.token_interval_ms / 1000
        self._consent_s = connected.consent_timeout_ms / 1000
        try:
            probe = MediaProbe(
                self._endpoint.at(connected.port),
                connected.token,
                buffer_bytes=self._settings.receive_buffer_bytes,
            )
        except OSError as error:
            yield diagnosis.untested("udp_out", f"no UDP socket on this machine: {error.strerror}")
            return
        cleanup.callback(probe.close)
        self._poller.media = self._probe = probe
        try:
            yield from self._examine(probe, on_leg)
        finally:
            self._poller.request(messages.Disconnect(), messages.Disconnected, time.monotonic() + GOODBYE_S)

    def _why_not(self) -> str:
        for message in (self._control.take(messages.Refused), self._control.take(messages.Closed)):
            if message is not None:
                return message.message
        return self._control.ended or f"no reply within {REPLY_S:g} s"

    def _examine(self, probe: MediaProbe, on_leg: Callable[[str], None]) -> Iterator[diagnosis.Finding]:
        token, active = self._give_consent(probe)
        yield diagnosis.udp_out(token, self._path)
        if active is None:
            if token.outcome == "arrived":  # and what the server sent there did not
                drops = dict.fromkeys(re.findall(r"send_e\w+", token.text), 1)
                closed = PORT_UNREACHABLE if self._is_rejected else None
                seen = observations.StreamSeen(token.took_s, 0, 0, None, server_drops=drops, closed=closed)
                yield diagnosis.udp_back(seen, self._path)
            return
        self._first_sequence = active.first_sequence
        host, port = probe.socket.getsockname()[:2]
        yield diagnosis.nat((plain_address(host), int(port)), (plain_address(active.address), active.port))
        on_leg("udp_back")
        stream = self._watch(probe)
        back = diagnosis.udp_back(stream, self._path)
        yield back
        size = diagnosis.path_mtu(stream, self._path)
        yield size
        if size.weight == "blocked" or (back.weight == "blocked" and not stream.received):
            return
        if stream.closed is not None or not self._control.is_open:
            yield diagnosis.untested("udp_state", f"the session ended before ({stream.closed or self._control.ended})")
        elif not stream.received:
            yield diagnosis.untested("udp_state", "no stream came before the silence")
        else:
            on_leg("udp_state")
            yield self._examine_silence(probe, stream)

    # -- the token out -----------------------------------------------------------------------------------------

    def _give_consent(self, probe: MediaProbe) -> tuple[observations.TokenSeen, messages.Active | None]:
        """Send the token until the server answers; return what came of it, and the server's event if it arrived."""
        began_s, until_s = time.monotonic(), self._until(TOKEN_S)
        control = self._control
        notices: list[messages.Notice] = []

        def answered() -> bool:
            # Notices about the server's questions are no answer: whether these are dropped or rejected shows later.
            while (notice := control.take(messages.Notice)) is not None:
                notices.append(notice)
            is_other = any(notice.code != "proof_missing" for notice in notices)
            return is_other or control.has(messages.Active, messages.Closed)

        while time.monotonic() < until_s and control.is_open and not answered():
            if probe.tokens_sent >= 2 and (probe.is_refused or probe.send_error is not None):
                break
            probe.send_token()
            self._poller.poll(min(until_s, time.monotonic() + TOKEN_EVERY_S), answered)
        took_s = time.monotonic() - began_s
        active = control.take(messages.Active)
        outcome, text = ("arrived", "") if active is not None else self._why_no_consent(probe, notices)
        return observations.TokenSeen(outcome, probe.tokens_sent, took_s, probe.refused, text), active

    def _why_no_consent(self, probe: MediaProbe, notices: Sequence[messages.Notice]) -> tuple[str, str]:
        """Return the outcome of a token without effect, and a text beside it."""
        control = self._control
        if (closed := control.take(messages.Closed)) is not None:
            # consent_expired: the server has seen no token, for longer than we would have waited.
            self._is_rejected = closed.code == PORT_UNREACHABLE  # the server's questions, after a token had come
            is_unanswered = any(notice.code == "proof_missing" for notice in notices)
            outcomes = {"consent_expired": "arrived" if is_unanswered else "nothing", PORT_UNREACHABLE: "arrived"}
            return outcomes.get(closed.code, "closed"), closed.message
        if notices:
            return ("arrived" if notices[-1].code == "proof_missing" else "other_address"), notices[-1].message
        if probe.is_refused:
            return "refused", ""
        if probe.send_error is not None:
            is_forbidden = probe.send_error.errno in {errno.EPERM, errno.EACCES}
            return ("forbidden" if is_forbidden else "nothing"), probe.send_error.strerror or ""
        if not control.is_open:
            return "closed", f"the control connection ended: {control.ended or control.not_flume}"
        return "nothing", ""

    # -- the stream back ---------------------------------------------------------------------------------------

    def _watch(self, probe: MediaProbe) -> observations.StreamSeen:
        began_s, until_s = time.monotonic(), self._until(WINDOW_S)
        control = self._control
        steps = [began_s + at_s for at_s in ECHO_AT_S]

        def ended() -> bool:
            nothing = not probe.received and not probe.echoes_answered
            return control.has(messages.Closed) or (nothing and time.monotonic() - began_s >= FIRST_S)

        while (now_s := time.monotonic()) < until_s and control.is_open and not ended():
            if steps and now_s >= steps[0]:
                steps.pop(0)
                for size in sorted({*ECHO_SIZES} - probe.echoes_answered):
                    probe.ask_echo(size)
            if now_s - probe.token_sent_s >= self._token_interval_s:
                probe.send_token()
            due_s = [until_s, probe.token_sent_s + self._token_interval_s, began_s + FIRST_S, *steps[:1]]
            self._poller.poll(min(at_s for at_s in due_s if at_s > now_s), lambda: control.has(messages.Closed))
        window_s = max(0.001, time.monotonic() - began_s)
        return self._account(probe, window_s)

    def _account(self, probe: MediaProbe, window_s: float) -> observations.StreamSeen:
        """Stop the stream and compare it with the server's count."""
        probe.send_token()  # the consent timeout begins anew
        interrupted = self._poller.request(messages.Interrupt(), messages.Interrupted, self._until(REPLY_S))
        closed = self._control.take(messages.Closed)
        sent: int | None = None
        if interrupted is not None:
            sent = interrupted.datagrams
            self._drain(probe, interrupted.datagrams)
        elif closed is not None and closed.last_sequence is not None and self._first_sequence is not None:
            sent = (closed.last_sequence - self._first_sequence) % 65536 + 1
        status = None
        if not probe.received and closed is None:
            status = self._poller.request(messages.StatusQuery(), messages.Status, self._until(REPLY_S))
        return observations.StreamSeen(
            window_s=window_s,
            received=probe.received,
            received_bytes=probe.bytes,
            sent=sent,
            dropped_here=probe.dropped,
            longest_gap=probe.longest_gap,
            echoes_asked=tuple(sorted(probe.echoes_asked)),
            echoes_answered=tuple(sorted(probe.echoes_answered)),
            datagram_bytes=probe.datagram_bytes or DATAGRAM_BYTES,
            fragment_bytes=probe.fragment_bytes,
            kernel_mtu=known_path_mtu(probe.socket),
            closed=closed.code if closed is not None else None,
            server_drops=status.session.drops if status is not None else {},
        )

    def _drain(self, probe: MediaProbe, sent: int) -> None:
        """Wait for datagrams that are still on their way: in a queue without control the reply overtakes them."""
        until_s, before = self._until(DRAIN_S), -1
        while before < probe.received < sent and time.monotonic() < until_s:
            before = probe.received
            self._poller.poll(min(until_s, time.monotonic() + QUIET_S), lambda: probe.received >= sent)

    # -- the silence -------------------------------------------------------------------------------------------

    def _examine_silence(self, probe: MediaProbe, stream: observations.StreamSeen) -> diagnosis.Finding:
        test = SilenceTest(self._poller, probe, already_sent=stream.sent or 0, deadline_s=self._deadline_s)
        silence_s = test.longest_s(self._consent_s)
        if silence_s < LEAST_SILENCE_S:
            because = "no time was left for a silence: a leg took too long, or consent ends too soon"
            return diagnosis.untested("udp_state", because)
        return diagnosis.udp_state(test.run(silence_s), self._path)
