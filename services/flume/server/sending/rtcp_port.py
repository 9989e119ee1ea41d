"""The UDP port of RTCP, one above that of the media (RFC 3550, section 11): reports to players, and theirs."""

import logging
import socket
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.rtsp.rtcp import is_rtcp_untrusted
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
        self._seekers: dict[str, list[Callable[[Address], None]]] = {}

    def listen(self, player: Address, take: Callable[[bytes], None]) -> None:
        """Give *take* what *player* sends."""
        self._listeners[player] = take

    def forget(self, player: Address, take: Callable[[bytes], None]) -> None:
        """Give *take* nothing more. A connection that has named the same port since keeps it."""
        if self._listeners.get(player) == take:
            del self._listeners[player]

    def seek(self, host: str, found: Callable[[Address], None]) -> None:
        """Call *found* with the port of *host* that RTCP comes from and that is no other player's, behind a NAT.

        As long as two seek one of the same host, none is found.
        """
        self._seekers.setdefault(host, []).append(found)

    def seek_no_more(self, host: str, found: Callable[[Address], None]) -> None:
        """Do not call *found* any more, if it was to be."""
        seekers = self._seekers.get(host, [])
        if found in seekers:
            seekers.remove(found)
        if not seekers:
            self._seekers.pop(host, None)

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
            self._take_untrusted(data, address_of(source))

    def _take_untrusted(self, data: bytes, source: Address) -> None:
        seekers = self._seekers.get(source[0], [])
        if source not in self._listeners and len(seekers) == 1 and is_rtcp_untrusted(data):
            seekers[0](source)
        take = self._listeners.get(source)
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
