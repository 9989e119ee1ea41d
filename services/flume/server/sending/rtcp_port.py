"""The UDP port of RTCP, one above that of the media (RFC 3550, section 11): reports to players, and theirs."""

import logging
import socket
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.server.ports import bind_media
from flume.sockaddr import address_of, sockaddr_of

READ_BYTES = 1500
DATAGRAMS_AT_ONCE = 16
"""Read in one callback before the event loop does other work."""

_log = logging.getLogger(__name__)


class RtcpPort:
    """Runs on the event loop."""

    def __init__(self, host: str, port: int) -> None:
        """Bind UDP *port* of *host*. Raises :class:`OSError`."""
        self.socket: socket.socket = bind_media(host, port)
        self.port: int = port
        self._listeners: dict[Address, Callable[[bytes], None]] = {}

    def listen(self, player: Address, take: Callable[[bytes], None]) -> None:
        """Give *take* what *player* sends."""
        self._listeners[player] = take

    def forget(self, player: Address, take: Callable[[bytes], None]) -> None:
        """Give *take* nothing more. A connection that has named the same port since keeps it."""
        if self._listeners.get(player) == take:
            del self._listeners[player]

    def send(self, data: bytes, player: Address) -> None:
        """Send *data* to *player*; a report that cannot leave is lost."""
        try:
            self.socket.sendto(data, sockaddr_of(player))
        except OSError as error:
            _log.debug("RTCP to %s:%d: %s", *player, error)

    def on_readable(self) -> None:
        """Read what has come; called by the event loop."""
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = self.socket.recvfrom(READ_BYTES)
            except OSError:  # nothing more, or ICMP port unreachable: not every player listens
                return
            take = self._listeners.get(address_of(source))
            if take is not None:
                take(data)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def open_rtcp(host: str, media_port: int) -> RtcpPort | None:
    """Return the port above *media_port*; ``None``, with a line in the log, where another program has it."""
    try:
        return RtcpPort(host, media_port + 1)
    except (OSError, OverflowError) as error:
        _log.warning("UDP %s port %d is not free (%s): players get no reports (RTCP)", host, media_port + 1, error)
        return None
