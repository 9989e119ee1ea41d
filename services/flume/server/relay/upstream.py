"""Another server as the source: a client that asks for the stream while somebody watches, and passes it on."""

import logging
import threading
import time
from collections.abc import Callable

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.client.playback.player import NullPlayer
from flume.client.reception.receiver import Chain
from flume.control import messages
from flume.control.messages import UpstreamState, UpstreamStatus
from flume.control.session import State
from flume.errors import FlumeError, LoginError
from flume.media.mpegts import PACKET_BYTES
from flume.server.relay.address import UpstreamAddress
from flume.server.relay.order import UpstreamOrder
from flume.server.relay.steering import RETRY_S, Seen, loop, other_size, path_through, state_of
from flume.server.relay.supply import RelaySupply
from flume.server.sources.feed import FeedState, new_identity
from flume.server.sources.items import printable
from flume.settings import ClientSettings

CHECK_S = 5.0
"""How often the upstream is asked who is above it: a loop may be closed at any time, by any of its servers."""

LOOK_S = 0.5
"""How often the state is looked at when nothing happens."""

DRAIN_S = 0.1
"""How long the end of the upstream's video waits for its last datagrams, which are waited for 20 ms themselves."""

CLOSE_S = 1.0
"""How long the goodbye to the upstream may take."""

_FEED_STATES: dict[UpstreamState, FeedState] = {
    "asleep": "stopped",
    "connecting": "starting",
    "receiving": "running",
    "silent": "stalled",
    "lost": "stalled",
    "refused": "stalled",
    "ended": "ended",
}

_log = logging.getLogger(__name__)


class Upstream:
    """A :class:`~flume.server.sources.feed.Feed`: what the server at an address sends.

    Example::

        upstream = Upstream(UpstreamAddress("192.0.2.7", 5004), ClientSettings(host="192.0.2.7"), packets=7)
        server = Server(upstream, ServerSettings())
    """

    live = True
    is_paced = False
    prebuffer_s = 0.0

    def __init__(
        self, address: UpstreamAddress, settings: ClientSettings, *, packets: int, tick_s: float = 0.01
    ) -> None:
        """Take the stream from *address* by *settings*, in datagrams of *packets*, in bursts about *tick_s* apart.

        No connection is made before a client of the relay watches.
        """
        self._address, self._packets = address, packets
        self.name = address.text
        self.identity = new_identity()
        self.first = threading.Event()
        self.first.set()
        self.ended: str | None = None
        self.failed = False
        self.failures: dict[str, str] = {}
        self.on_change: Callable[[UpstreamStatus], None] = lambda _status: None
        """Called from several threads when the state has changed."""
        self._order = UpstreamOrder()
        self._supply = RelaySupply(payload_bytes=packets * PACKET_BYTES, tick_s=tick_s)
        chain = Chain({"rtp": self._order}, self._supply)
        self._client = Client(settings, NullPlayer(), on_event=self._on_event, chain=chain)
        self._on_data: Callable[[], None] = lambda: None
        self._changed, self._looking = threading.Condition(), threading.Lock()
        self.take, self.head_s, self.lead_s = self._supply.take, self._supply.head_s, self._supply.lead_s
        self._is_wanted = self._is_closing = self._has_failed = self._has_news = False
        self._is_asking = False
        """Whether the client is to receive."""
        self._refusal: str | None = None
        self._retry_s = self._checked_s = self._active_s = 0.0
        self._path: tuple[str, ...] = ()
        self._error: str | None = None
        self._state: UpstreamState = "asleep"
        self._since_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="flume-relay", daemon=True)

    @property
    def epoch(self) -> int:
        """See :class:`~flume.server.sources.feed.Feed`."""
        return self._supply.epoch

    # -- control ---------------------------------------------------------------------------------------------

    def start(self, on_data: Callable[[], None], _on_broken: Callable[[str], None] = lambda _: None, /) -> None:
        """See :class:`~flume.server.sources.feed.Feed`."""
        self._on_data = on_data
        self._supply.start(on_data)
        self._client.start()
        self._thread.start()

    def want(self, wanted: bool) -> None:  # noqa: FBT001 - a state, not an option
        """See :class:`~flume.server.sources.feed.Feed`."""
        with self._changed:
            self._is_wanted = wanted
            self._changed.notify_all()

    def close(self) -> None:
        """See :class:`~flume.server.sources.feed.Feed`."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._client.close(within_s=CLOSE_S)
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    @property
    def state(self) -> FeedState:
        """See :class:`~flume.server.sources.feed.Feed`."""
        return _FEED_STATES[self._state]

    def source_counts(self) -> dict[str, int]:
        """Return nothing: what is wrong with an upstream is said in :meth:`upstream`."""
        return {}

    def upstream(self) -> UpstreamStatus:
        """Return what is known of the server above; from any thread."""
        seen = self._client.statistics()
        return UpstreamStatus(
            address=self.name,
            state=self._state,
            state_s=round(time.monotonic() - self._since_s, 3),
            datagrams=seen.datagrams,
            lost=seen.lost,
            late=seen.late,
            duplicates=seen.duplicates,
            dropped=self._supply.dropped,
            reconnects=seen.reconnects,
            transport=seen.transport,
            error=self._complaint(),
            path=self._path,
        )

    def _complaint(self) -> str | None:
        size = self._supply.other_size
        if size is not None:
            return other_size(size // PACKET_BYTES, ours=self._packets)
        return None if self._state in {"asleep", "receiving", "connecting"} else self._error

    # -- the steering thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closing:
                try:
                    self._step(time.monotonic())
                except FlumeError as error:  # the upstream does not answer; the client begins again by itself
                    self._note_failure(str(error))
                with self._looking:
                    self._look()
                with self._changed:
                    self._changed.wait_for(self._has_to_act, LOOK_S)
                    self._has_news = False
        except Exception as error:  # without a report, clients would wait for ever
            _log.exception("the relay of %s failed", self.name)
            self._end(f"the relay of {self.name} failed: {error or type(error).__name__}", failed=True)

    def _has_to_act(self) -> bool:
        acts = self._is_asking or self._refusal is not None
        return self._is_closing or self._has_news or self._is_wanted is not acts

    def _step(self, now_s: float) -> None:
        if self._refusal is not None:
            if self._is_wanted and now_s < self._retry_s:
                return
            self._refusal = None
        if not self._is_wanted:
            if self._is_asking:
                self._rest()
        elif not self._is_asking:
            self._ask()
        elif self._client.was_played_out:
            self._end(f"{self.name}: its video is over", failed=False)
        elif self._client.is_over:
            self._refuse(self._client.statistics().last_error or "it does not serve this relay")
        elif self._client.state is State.ACTIVE and now_s - self._checked_s >= CHECK_S:
            self._check()

    def _ask(self) -> None:
        """Ask for the stream, unless that would be a loop."""
        self._is_asking, self._has_failed = True, False
        try:
            if not self._check():
                return
        except LoginError as error:
            if error.is_final:
                self._refuse(str(error))
                return
        except FlumeError as error:
            self._note_failure(str(error))
        if self._is_wanted and not self._is_closing:
            try:
                reply = self._client.connect()
            except FlumeError as error:
                self._note_failure(str(error))
            else:
                if isinstance(reply, messages.Refused):
                    self._note_failure(reply.message)

    def _check(self) -> bool:
        """Ask the upstream who it is, and who is above it; ``False``: it is refused for that.

        Raises :class:`FlumeError` without an answer while no session makes up for it.
        """
        self._checked_s = time.monotonic()
        try:
            reply = self._client.status()
        except FlumeError:
            if self._client.state is State.CLOSED:
                raise
            return True
        if not isinstance(reply, messages.Status):
            return True  # it wants a login first, or is closing: connecting says so
        self._path = path_through(reply.server)
        reason = loop(self.identity, reply.server)
        if reason is not None:
            self._refuse(reason)
        return reason is None

    def _rest(self) -> None:
        """Ask for nothing any more; the next time the stream begins at a keyframe, for old and new clients."""
        self._is_asking = False
        self._client.leave()
        self._order.rest()
        self._supply.rest()

    def _refuse(self, reason: str) -> None:
        self._rest()
        reason = printable(reason)  # it may be the upstream's, of any length
        self._refusal, self._error = reason, reason
        self._retry_s = time.monotonic() + RETRY_S
        _log.error("%s is not relayed: %s; it is asked again in %g s", self.name, reason, RETRY_S)

    def _note_failure(self, reason: str) -> None:
        self._has_failed, self._error = True, printable(reason)

    def _end(self, reason: str, *, failed: bool) -> None:
        if not failed:  # the last datagrams are overtaken by the message that says so
            self._client.wait_until_drained(timeout_s=DRAIN_S)
        self.failed, self.ended = failed, reason  # in this order: a thread that sees the end must also see the failure
        self._on_data()
        self._is_closing = True

    # -- what happens ----------------------------------------------------------------------------------------

    def _on_event(self, event: ClientEvent) -> None:
        """Take what the client says; from its threads."""
        if event.event == "error":
            self._note_failure(event.message or "")
        elif event.event == "notice" and event.message:
            _log.warning("%s: %s", self.name, printable(event.message))
        elif event.event == "state" and event.state == State.ACTIVE:
            self._active_s, self._has_failed = time.monotonic(), False
        with self._looking:
            if not self._is_closing:
                self._look()  # the steering thread may wait for the upstream's answer
        with self._changed:
            self._has_news = True
            self._changed.notify_all()

    def _look(self) -> None:
        """Report the state where it has changed; from any thread that holds :attr:`_looking`."""
        now_s = time.monotonic()
        seen = Seen(
            is_wanted=self._is_wanted,
            session=self._client.state,
            silent_s=self._supply.silent_s(),
            refusal=self._refusal,
            has_failed=self._has_failed,
            ended=self.ended,
        )
        state = state_of(seen, active_s=now_s - self._active_s)
        if state == self._state:
            return
        self._state, self._since_s = state, now_s
        status = self.upstream()
        level = logging.WARNING if state in {"lost", "silent"} else logging.INFO
        _log.log(level, "%s is %s%s", self.name, state, "" if status.error is None else f": {status.error}")
        self.on_change(status)
