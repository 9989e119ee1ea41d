"""A live address in, the streams that arrive there out. The only module of ``flume inspect`` that opens a socket.

The socket is read every few milliseconds until it is empty, which costs less than waking for each datagram. The kernel
stamps each arrival, so that reading late moves no time.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from flume.capture.dissect import Endpoint
from flume.errors import NetworkError, SettingsError
from flume.inspect.stream_table import Datagram, StreamTable
from flume.inspect.values import Inspection
from flume.linux import SO_RCVBUFFORCE, SO_TIMESTAMPNS
from flume.measures.ts.values import Thresholds
from flume.socket_memory import dropped_by_kernel

SCHEMES = ("udp://", "rtp://")
BUFFER_BYTES = 8 << 20
"""More than three seconds of 20 Mbit/s."""
_REST_S = 0.02
"""Between two rounds of reading: at 20 Mbit/s some 38 datagrams a round."""
_FOREVER_S = 1e9
_WAIT_S = 0.2
"""So long a round waits for a datagram before it looks at the clock."""
_MOST_BYTES = 65_535
_STAMP = struct.Struct("@ll")
_MOST_PORT = 65_535
_ONE_LINK = frozenset(bytes([0xFF, flags << 4 | scope]) for flags in range(16) for scope in (1, 2))

Progress = Callable[[int, float], None]
"""Is told how many datagrams have come in how many seconds."""


class LiveAddress(NamedTuple):
    """Where to listen."""

    host: str
    """Numeric; ``0.0.0.0`` or ``::`` for all addresses of this host."""
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_multicast(self) -> bool:
        """Whether a group has to be joined."""
        return ipaddress.ip_address(self.host).is_multicast

    @property
    def needs_interface(self) -> bool:
        """Whether the address is one on every link: ``ff01::`` and ``ff02::`` groups of IPv6 (RFC 4291, 2.7)."""
        return self.family == socket.AF_INET6 and ipaddress.ip_address(self.host).packed[:2] in _ONE_LINK


def live_address(text: str) -> LiveAddress:
    """Return the address in *text*. Raises :class:`SettingsError` when it is none.

    >>> live_address("udp://@239.1.2.3:5004"), live_address("rtp://:5004")
    (LiveAddress(host='239.1.2.3', port=5004), LiveAddress(host='0.0.0.0', port=5004))
    """
    allowed = "udp://ADDRESS:PORT or rtp://ADDRESS:PORT, with a numeric address of this host or of a multicast group"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "0.0.0.0", parts.port
        ipaddress.ip_address(host)
    except ValueError as error:
        raise SettingsError("address", text, allowed) from error
    if not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError("address", text, allowed)
    return LiveAddress(host, port)


class LiveSocket:
    """A socket that hears one address. Close it, or use it with ``with``."""

    def __init__(self, address: LiveAddress, *, interface: str | None = None) -> None:
        """Listen at *address*; join its group at *interface*, the local address (IPv4) or name (IPv6) of one.

        Raises :class:`NetworkError`.
        """
        self.address = address
        self._socket = socket.socket(address.family, socket.SOCK_DGRAM)
        try:
            index = socket.if_nametoindex(interface) if interface and address.family == socket.AF_INET6 else 0
            self._socket.setblocking(False)  # noqa: FBT003 - socket's signature
            self._make_room()
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            if address.is_multicast:
                # Other programs of this host may hear the group as well.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # A group that is valid on one link alone (RFC 4291, 2.7) is bound there.
            scope = (0, index if address.needs_interface else 0) if address.family == socket.AF_INET6 else ()
            self._socket.bind((address.host, address.port, *scope))
            if address.is_multicast:
                self._join(interface, index)
        except OSError as error:
            self._socket.close()
            where = f"{address.host} port {address.port}"
            raise NetworkError(f"cannot listen at {where}: {error.strerror or error}") from error

    def _make_room(self) -> None:
        for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):  # the first one is for processes with CAP_NET_ADMIN
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
                return

    def _join(self, interface: str | None, index: int) -> None:
        group = socket.inet_pton(self.address.family, self.address.host)
        if self.address.family == socket.AF_INET6:
            join = group + struct.pack("@I", index)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
        else:
            local = socket.inet_aton(interface or "0.0.0.0")
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + local)

    def __enter__(self) -> Self:
        """Return the socket, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the group and close."""
        self._socket.close()

    @property
    def dropped(self) -> int:
        """Datagrams for which the kernel had no room here."""
        return dropped_by_kernel(self._socket)

    def wait(self, timeout_s: float) -> None:
        """Return when a datagram is there, or after *timeout_s*."""
        select.select([self._socket], [], [], max(0.0, timeout_s))

    def read(self) -> list[tuple[float, Endpoint, bytes]]:
        """Return what has arrived: time of the kernel, source, bytes. Waits for nothing."""
        found = []
        room = socket.CMSG_SPACE(_STAMP.size)
        with contextlib.suppress(BlockingIOError):
            for _ in range(4096):  # a flood must not keep the caller from looking at the clock
                data, control, _, source = self._socket.recvmsg(_MOST_BYTES, room)
                found.append((_time_s(control), (source[0], source[1]), data))
        return found


def _time_s(control: list[tuple[int, int, bytes]]) -> float:
    for _, kind, value in control:
        if kind == SO_TIMESTAMPNS and len(value) >= _STAMP.size:
            seconds, nanoseconds = map(int, _STAMP.unpack_from(value))
            return seconds + nanoseconds / 1e9
    return time.time()


def inspect_live(
    address: LiveAddress,
    limits: Thresholds,
    progress: Progress,
    *,
    interface: str | None,
    duration_s: float | None,
    is_stopped: Callable[[], bool],
) -> Inspection:
    """Return what arrives at *address* within *duration_s*, or until *is_stopped* says so.

    Raises :class:`NetworkError` when the address cannot be listened at.
    """
    heard = _Heard(address, limits)
    with LiveSocket(address, interface=interface) as live:
        began_s = time.monotonic()
        while not is_stopped() and (left_s := (duration_s or _FOREVER_S) - (time.monotonic() - began_s)) > 0:
            live.wait(min(_WAIT_S, left_s))
            heard.take(live.read())
            progress(heard.datagrams, time.monotonic() - began_s)
            time.sleep(min(_REST_S, left_s))
        heard.take(live.read())
        return heard.result(live.dropped, time.monotonic() - began_s)


class _Heard:
    """What has come so far."""

    def __init__(self, address: LiveAddress, limits: Thresholds) -> None:
        self._address = address
        self._table = StreamTable(limits)
        self.datagrams = 0
        self._first_s = self._last_s = 0.0

    def take(self, arrivals: list[tuple[float, Endpoint, bytes]]) -> None:
        for time_s, source, data in arrivals:
            self.datagrams += 1
            self._first_s, self._last_s = self._first_s or time_s, time_s
            self._table.add_untrusted(Datagram(self.datagrams, time_s, source, self._address, data))

    def result(self, dropped: int, listened_s: float) -> Inspection:
        found = [
            (not self.datagrams, f"no datagram came within {listened_s:.1f} s"),
            (dropped, f"this host's kernel dropped {dropped} datagrams before they were read: they count as lost"),
        ]
        started = datetime.fromtimestamp(self._first_s, UTC).isoformat(timespec="milliseconds")
        return Inspection(
            input=f"{self._address.host}:{self._address.port}",
            kind="live",
            started=started if self.datagrams else None,
            duration_s=round(self._last_s - self._first_s, 6),
            packets=self.datagrams,
            others=self._table.all_others(),
            falsified=dropped > 0,
            problems=[*(text for wrong, text in found if wrong), *self._table.problems()],
            streams=self._table.streams(),
        )
