"""Consent of one client (RFC 7675): its clock, and the media path that follows the port that the token comes from."""

import socket
import time
from collections import Counter

from flume.control.endpoint import Address
from flume.control.session import Signal
from flume.server.sessions.media_path import MediaPath
from flume.settings import PayloadKind, ServerSettings

REFUSED_S, CONNECTING_REFUSED_S = 1.0, 1.5
"""Time without a proof after which ICMP port unreachable is believed, and twice the round trip that was measured. An
active port is asked ten times in it. A port that has proved nothing is asked as its tokens come, each half second."""

LONGEST_REFUSED_S = 4.0
"""However long a round trip seemed; and half the consent timeout, after which the tokens decide."""

REST_S = 2.0
"""After a proof that has refuted ICMP messages, for so long they mean nothing."""

MISSING_TOKENS = 4
"""Tokens of ports that have not answered, after which the client is told: on a path that loses, one may be lost."""

TOLD_EVERY_TOKENS = 16
"""And then it is told again after so many, four seconds."""


class Consent:
    """A client consents as long as its token comes from a media socket of its host. Runs on the event loop.

    A token from a new port arrives in two steps. :meth:`arrive` keeps the port while a command is being carried out;
    :meth:`follow` then connects a socket to it, and says which signal that is.
    """

    def __init__(
        self,
        path: MediaPath,
        *,
        settings: ServerSettings,
        segmentation: bool,
        counts: Counter[str],
        has_tokens: bool = True,
    ) -> None:
        """Steer *path*; use UDP segmentation if *segmentation*; count ignored tokens in *counts*.

        *has_tokens* is false where the front says which port it is, and answers for it: then it may move at once.
        """
        self._path = path
        self._timeout_s = settings.consent_timeout_s
        self._between_moves_s = settings.token_interval_s / 2 if has_tokens else 0.0
        self._segmentation = segmentation
        self._counts = counts
        self._expires_s: float | None = None
        self._is_asked_for = False
        """Whether :meth:`is_to_be_asked_for` has said so since the clock started."""
        self._refused: socket.socket | None = None
        """The media socket that ICMP port unreachable came for, while no proof has refuted it."""
        self._refused_s = self._rests_until_s = float("-inf")
        self._arrived_from: Address | None = None
        self._asked: Address | None = None
        self._asked_s = 0.0
        self._tokens_asked = 0
        """Tokens that were answered by requests for proof since a port last answered one."""
        self._round_trip_s = 0.0

    # -- the clock -----------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the clock runs: consent was asked for or given, and has not expired."""
        return self._expires_s is not None

    def is_expired(self, now_s: float) -> bool:
        """Whether the token has not come for longer than the timeout, at *now_s* (monotonic)."""
        return self._expires_s is not None and now_s >= self._expires_s

    def is_to_be_asked_for(self, now_s: float) -> bool:
        """Whether half the timeout has passed without a token, at *now_s* (monotonic), and it was not asked for yet.

        A lossy path takes several tokens in a row. The control connection gets through, because TCP repeats.
        """
        is_late = self._expires_s is not None and now_s >= self._expires_s - self._timeout_s / 2
        return is_late and not self._is_asked_for

    def note_asked_for(self) -> None:
        """The client was asked for its token. It is not asked again before the next :meth:`refresh`."""
        self._is_asked_for = True

    def refresh(self) -> None:
        """Start the clock anew."""
        self._expires_s = time.monotonic() + self._timeout_s
        self._is_asked_for = False

    def stop_clock(self) -> None:
        """Stop the clock until the next :meth:`refresh`."""
        self._expires_s = None

    # -- ICMP: any host can send it, so only with a proof that stays away it means something ---------------------

    @property
    def is_in_doubt(self) -> bool:
        """Whether ICMP port unreachable came, and no proof after it."""
        return self._refused is not None

    def note_refused(self, media: socket.socket, now_s: float) -> bool:
        """ICMP port unreachable came for *media* at *now_s* (monotonic); return whether a proof is missing from now."""
        if self._refused is not None or now_s < self._rests_until_s or not self._path.owns(media):
            return False
        self._refused, self._refused_s = media, now_s
        return True

    def believed_refusal(self, now_s: float) -> socket.socket | None:
        """Return the media socket whose port is closed, because no proof came for too long, at *now_s*."""
        wait_s = (CONNECTING_REFUSED_S if self._path.socket is None else REFUSED_S) + 2 * self._round_trip_s
        return self._refused if now_s - self._refused_s >= min(wait_s, LONGEST_REFUSED_S, self._timeout_s / 2) else None

    def note_proof(self, source: Address, now_s: float) -> None:
        """The port *source* has sent its proof back."""
        if source == self._asked:
            self._round_trip_s = now_s - self._asked_s
        self._asked, self._tokens_asked = None, 0
        if self._refused is not None and source == self._path.address:
            self.forget_refused()
            self._rests_until_s = now_s + REST_S

    def forget_refused(self) -> None:
        """ICMP port unreachable means nothing any more: a proof came, or another port is used, or the end is near."""
        self._refused = None

    # -- the path ------------------------------------------------------------------------------------------

    @property
    def lacks_proof(self) -> bool:
        """Whether tokens came from a port that has not answered."""
        return self._tokens_asked > 0

    @property
    def icmp_error(self) -> str | None:
        """The error that came for the socket of the port that is asked, ``None`` without one."""
        return self._path.icmp_error

    def knows(self, source: Address) -> bool:
        """Whether *source* is the present port, or waits for :meth:`follow`."""
        return source in {self._path.address, self._arrived_from}

    @property
    def has_arrival(self) -> bool:
        """Whether a port waits for :meth:`follow`."""
        return self._arrived_from is not None

    def await_proof(self, source: Address, local_host: str | None) -> bool:
        """A token of the port *source* is answered by requests for proof; return whether to tell the client that none
        is answered: after :data:`MISSING_TOKENS`, and then seldom.

        Before the first window a socket is connected to *source*, so that ICMP messages about the requests come to
        it. Raises :class:`NetworkError` without a route to the client, or without a file descriptor.
        """
        if source != self._asked:
            self._asked, self._asked_s = source, time.monotonic()
            if self._path.socket is None:
                self.forget_refused()
        self._tokens_asked += 1
        if self._path.socket is None:
            self._path.prepare(source, local_host)
        return self._tokens_asked % TOLD_EVERY_TOKENS == MISSING_TOKENS

    def arrive(self, source: Address) -> None:
        """The token came from *source*, which is not the present port: keep it for :meth:`follow`."""
        self._arrived_from = source

    def drop_arrival(self) -> None:
        """Forget the port that waits: the session that its token belonged to has ended."""
        self._arrived_from = None

    def follow(self, local_host: str | None, payload: PayloadKind) -> Signal | None:
        """Connect a socket to the port that waits; return what has happened, ``None`` for nothing.

        ``CONSENT``: the path is in use. ``CONSENT_MOVED``: a second socket is ready, and :meth:`move` will use it.
        *local_host* is the address of this host that the client called. Raises :class:`NetworkError` without a route
        to the client, or without a file descriptor.
        """
        source, self._arrived_from = self._arrived_from, None
        present = self._path.address
        if source is None or source == present:
            return None if source is None else Signal.CONSENT
        if present is not None and time.monotonic() - self._path.since_s < self._between_moves_s:
            # A datagram that was overtaken on its path, or two senders: the next token will show which.
            self._counts["token_from_other_port"] += 1
            return None
        self._path.prepare(source, local_host)
        if present is not None:
            return Signal.CONSENT_MOVED
        self.move(payload)
        return Signal.CONSENT

    def move(self, payload: PayloadKind) -> None:
        """Use the socket that :meth:`follow` has made ready, for datagrams of *payload*."""
        self.forget_refused()
        self._path.use(segmentation=self._segmentation, payload=payload)

    def end(self) -> None:
        """Close the path and stop the clock; the sender thread must not use the socket any more."""
        self._expires_s = None
        self._arrived_from = self._asked = None
        self._tokens_asked, self._round_trip_s = 0, 0.0
        self.forget_refused()
        self._path.close()
