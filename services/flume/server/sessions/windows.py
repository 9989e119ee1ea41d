"""The delivery windows of one client: subscribes a recipient for each, and counts what it was sent."""

from flume.control.messages import ClientCounters
from flume.errors import NetworkError
from flume.media.ring import Ring
from flume.server.sending.roster import Recipient
from flume.server.sending.subscriptions import AnyRecipient, RecipientOwner, Subscriptions
from flume.server.sending.tcp_delivery import FrameSink, TcpRecipient
from flume.server.sessions.account import DeliveryAccount, WindowEnd, WindowStart
from flume.server.sessions.media_path import MediaPath
from flume.settings import PayloadKind, Transport


class DeliveryWindows:
    """A window begins with :meth:`prepare` and :meth:`subscribe`, and ends with :meth:`unsubscribe`.

    After a move of the media path the same window goes on with another recipient.
    """

    def __init__(self, ring: Ring, subscriptions: Subscriptions, path: MediaPath, sink: FrameSink | None) -> None:
        """Deliver from *ring* by the socket of *path*, or over TCP to *sink*."""
        self.payload: PayloadKind = "rtp"
        self.transport: Transport = "udp"
        self._ring = ring
        self._subscriptions = subscriptions
        self._path = path
        self._sink = sink
        self._recipient: AnyRecipient | None = None
        self._account = DeliveryAccount(ring)

    def begin_session(self) -> None:
        """Let the next window begin at a keyframe, whatever was sent before."""
        self._account.begin_session()

    def prepare(self, *, same_window: bool) -> tuple[AnyRecipient, WindowStart]:
        """Return the next recipient and the datagram that it begins with, which is fixed by this.

        Counting begins anew unless it is the *same_window*. Raises
        :class:`NetworkError` without a media socket.
        """
        recipient = self._next_recipient()
        if not same_window:
            self._account.begin_window()
        return recipient, self._account.first(recipient)

    def without_keyframe_s(self) -> float | None:
        """Return for how long no keyframe came, if the next recipient would have to wait for one; else ``None``."""
        return self._ring.without_keyframe_s(self._account.last_index)

    def _next_recipient(self) -> AnyRecipient:
        start = self._ring.start_after(self._account.last_index)
        if self.transport == "tcp" and self._sink is not None:
            return TcpRecipient(self._sink, start=start)
        if self._path.socket is None:
            raise NetworkError("no media socket: consent has not been given")
        return Recipient(self._path.socket, payload=self.payload, start=start, segmentation=self._path.segmentation)

    def subscribe(self, recipient: AnyRecipient, *, owner: RecipientOwner) -> None:
        """Send to *recipient* from now on."""
        self._recipient = recipient
        self._subscriptions.add(recipient, owner=owner)

    async def unsubscribe(self) -> None:
        """Stop sending; the promise of :meth:`.Subscriptions.remove` holds when this returns."""
        recipient, self._recipient = self._recipient, None
        if recipient is None:
            return
        await self._subscriptions.remove(recipient)
        self._account.add(recipient)
        if isinstance(recipient, Recipient):
            self._path.segmentation = recipient.segmentation

    def pump(self) -> None:
        """Write frames: the control connection has room for media again."""
        self._subscriptions.pump(self._recipient)

    def end_window(self) -> WindowEnd:
        """Return what the window that has ended was sent; after that, ``None`` and 0."""
        return self._account.end_window()

    def counters(self) -> ClientCounters:
        """Return the totals of all windows of this connection, the present one included."""
        return self._account.counters(self.transport, self._recipient)
