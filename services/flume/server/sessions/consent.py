"""Consent of one client (RFC 7675): its clock, and the media path that follows the port that the token comes from."""

import time
from collections import Counter

from flume.control.endpoint import Address
from flume.control.session import Signal
from flume.server.sessions.media_path import MediaPath
from flume.settings import PayloadKind, ServerSettings


class Consent:
    """A client consents as long as its token comes from a media socket of its host. Runs on the event loop.

    A token from a new port arrives in two steps. :meth:`arrive` keeps the port while a command is being carried out;
    :meth:`follow` then connects a socket to it, and says which signal that is.
    """

    def __init__(self, path: MediaPath, *, settings: ServerSettings, segmentation: bool, counts: Counter[str]) -> None:
        """Steer *path*; use UDP segmentation if *segmentation*; count ignored tokens in *counts*."""
        self._path = path
        self._timeout_s = settings.consent_timeout_s
        self._between_moves_s = settings.token_interval_s / 2
        self._segmentation = segmentation
        self._counts = counts
        self._expires_s: float | None = None
        self._is_asked_for = False
        """Whether :meth:`is_to_be_asked_for` has said so since the clock started."""
        self._arrived_from: Address | None = None

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

    # -- the path ------------------------------------------------------------------------------------------

    @property
    def has_arrival(self) -> bool:
        """Whether a port waits for :meth:`follow`."""
        return self._arrived_from is not None

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
        self._path.use(segmentation=self._segmentation, payload=payload)

    def end(self) -> None:
        """Close the path and stop the clock; the sender thread must not use the socket any more."""
        self._expires_s = None
        self._arrived_from = None
        self._path.close()
