"""The silence of the media path: whether the stream comes back after a pause, as the doctor's last leg asks."""

import time

from flume.control import messages
from flume.doctor.observations import StateSeen
from flume.doctor.session import MediaProbe, Poller

SILENCE_S, LEAST_SILENCE_S = 4.0, 0.5
"""Length of the silence, and the least that is worth waiting for."""
GRACE_SHARE = 0.2
"""Share of the consent timeout that is kept between the end of the silence and the end of consent."""
REPLY_S = 2.0
BACK_S = 1.0
"""After ``continue`` or a token, datagrams come within a tick and a round trip."""
NOTICE_S = 0.25
"""How much later than the datagrams the server's notice may come."""
STEPS_AFTER = 2.5
"""Multiples of :data:`BACK_S` that the steps after the silence may take."""


class SilenceTest:
    """Sends nothing for a while, continues the stream and notes what comes back. One step a method."""

    def __init__(self, poller: Poller, probe: MediaProbe, *, already_sent: int, deadline_s: float) -> None:
        """Use an interrupted session in which the server has sent *already_sent* datagrams, until *deadline_s*."""
        self._poller, self._control, self._probe = poller, poller.control, probe
        self._already_sent, self._deadline_s = already_sent, deadline_s

    def longest_s(self, consent_s: float) -> float:
        """Return how long the silence may last, so that neither consent (*consent_s* after a token) nor time ends."""
        consent_left_s = self._probe.token_sent_s + consent_s * (1 - GRACE_SHARE) - time.monotonic()
        time_left_s = self._deadline_s - time.monotonic() - STEPS_AFTER * BACK_S
        return min(SILENCE_S, consent_left_s, time_left_s)

    def run(self, silence_s: float) -> StateSeen:
        """Be silent for *silence_s*, at most :meth:`longest_s`; return what came before and after another token."""
        silent_s = self._be_silent(silence_s)
        self._continue_stream()
        before_token, sent = self._await_stream()
        if not sent:  # a live source begins anew, which takes longer
            before_token, sent = self._await_stream()
        after_token, moved = 0, None
        if sent and not before_token and not self._control.has(messages.Closed):
            after_token, moved = self._send_token()
        closed = self._control.take(messages.Closed)
        return StateSeen(silent_s, sent, before_token, after_token, closed.code if closed is not None else None, moved)

    def _be_silent(self, silence_s: float) -> float:
        """Send nothing; return for how long."""
        began_s = time.monotonic()
        self._poller.poll(began_s + silence_s, lambda: self._control.has(messages.Closed))
        return time.monotonic() - began_s

    def _continue_stream(self) -> None:
        """Ask for the stream over TCP: the media socket stays silent."""
        self._probe.begin()
        self._poller.request(messages.Continue(), messages.Continued, self._until(REPLY_S))

    def _await_stream(self) -> tuple[int, int]:
        """Wait for a datagram; return how many have arrived and how many the server has sent, as far as known."""
        self._poller.poll(self._until(BACK_S), self._is_over)
        arrived = self._probe.received
        return arrived, arrived or self._sent_since()

    def _send_token(self) -> tuple[int, str | None]:
        """Send the token again; return how many datagrams arrive then, and the server's notice of another address."""
        self._probe.send_token()
        self._poller.poll(self._until(BACK_S), self._is_over)
        if self._probe.received and not self._control.has(messages.Notice):
            # It is sent before the datagrams, but over TCP: it may be read after them.
            self._poller.poll(self._until(NOTICE_S), lambda: self._control.has(messages.Notice))
        notice = self._control.take(messages.Notice)
        return self._probe.received, notice.message if notice is not None else None

    def _is_over(self) -> bool:
        return bool(self._probe.received) or self._control.has(messages.Closed)

    def _sent_since(self) -> int:
        """Return how many datagrams the server has sent since the interruption, by its own count."""
        status = self._poller.request(messages.StatusQuery(), messages.Status, self._until(REPLY_S))
        return max(0, status.session.datagrams - self._already_sent) if status is not None else 0

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)
