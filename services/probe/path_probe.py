"""The program ``path-probe``: whether a network carries what the lab sends over it, between containers of its hosts.

::

    path-probe answer TOKEN              answer until it is ended, for ten minutes at most
    path-probe check TOKEN ADDRESS...    ask the containers at ADDRESS; one line of JSON for each

Three things go there and back: a small datagram; one as large as the interface allows, which may not be cut; and a
batch that is one datagram until a network card, or the kernel in its place, cuts it. Every byte is compared. TOKEN has
32 hexadecimal digits, so that no other program's datagrams count.
"""

import errno
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

from probe import path_packets as packets
from probe.commands import ProbeError

PORT = 5004
"""That of the stream."""

_LONGEST_S = 600.0
_FIRST_ANSWER_S = 8.0
"""The hosts of a Swarm tell each other of a new container by gossip, within a second."""
_ATTEMPTS = 6
"""After the first answer: on a wire that loses one datagram of ten, all six fail once in 400 examinations."""
_ATTEMPT_S = 0.25

_IP_MTU_DISCOVER, _PMTUDISC_DO, _IP_MTU = 10, 2, 14
"""linux/in.h; the module socket does not name them."""
_UDP_SEGMENT = 103
"""linux/udp.h"""
_HEADERS_BYTES = 28
"""IPv4 and UDP."""

_Address = tuple[str, int]


def main(arguments: Sequence[str]) -> None:
    """Run one action; a :class:`ProbeError` ends the program with one line on standard error and status 1."""
    try:
        match arguments:
            case ["answer", token]:
                _answer(_token(token), time.monotonic() + _LONGEST_S)
            case ["check", token, *addresses]:
                for peer in _check(_token(token), addresses):
                    print(peer.as_json())  # noqa: T201 - the program's answer
            case _:
                raise ProbeError("usage: path-probe answer TOKEN | check TOKEN ADDRESS...")
    except ProbeError as error:
        sys.exit(f"path-probe: {error}")


def _token(text: str) -> bytes:
    try:
        token = bytes.fromhex(text)
    except ValueError:
        token = b""
    if len(token) != packets.TOKEN_BYTES:
        raise ProbeError(f"{text!r} is no token: {2 * packets.TOKEN_BYTES} hexadecimal digits")
    return token


class _Sending:
    """One end: a socket that sends what may not be cut on the way."""

    def __init__(self, token: bytes, port: int) -> None:
        self.token = token
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", port))
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DO)
        self.refused: dict[str, str] = {}
        """Address → what the kernel said of a datagram to it."""

    def send(self, address: _Address, data: bytes, *, segment: int = 0) -> None:
        """Send *data*; the kernel cuts it into datagrams of *segment* bytes if that is not 0."""
        ancillary = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", segment))] if segment else []
        try:
            self.socket.sendmsg([data], ancillary, 0, address)
        except OSError as error:
            self.refused[address[0]] = errno.errorcode.get(error.errno or 0, "?")

    def send_full(self, address: _Address, kind: int, attempt: int) -> None:
        """Send a datagram as large as the path allows, as far as this kernel knows."""
        self.send(address, packets.packed(self.token, kind, attempt, 0, _path_mtu(address) - _HEADERS_BYTES))

    def send_batch(self, address: _Address, kind: int, attempt: int) -> None:
        """Send a batch in one call."""
        self.send(address, packets.batch(self.token, kind, attempt), segment=packets.BATCH_BYTES)

    def received(self, timeout_s: float) -> tuple[bytes, _Address] | None:
        """Return the next datagram and its sender; None after *timeout_s*."""
        if not select.select([self.socket], [], [], max(0.0, timeout_s))[0]:
            return None
        try:
            data, address = self.socket.recvfrom(65536)
        except OSError:  # an ICMP message for an earlier datagram
            return None
        return data, address


def _path_mtu(address: _Address) -> int:
    """Return the largest packet to *address* that this kernel sends without cutting it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
            return probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)
        except OSError:
            return packets.BATCH_BYTES + _HEADERS_BYTES


def _checksum_errors() -> int:
    with open("/proc/net/snmp") as file:
        return packets.checksum_errors_in(file.read())


def _answer(token: bytes, until_s: float) -> None:
    ours = _Sending(token, PORT)
    seen: dict[_Address, packets.Arrivals] = {}
    while (now_s := time.monotonic()) < until_s:
        came = ours.received(until_s - now_s)
        one = came and packets.opened_untrusted(came[0], token)
        if not came or not one:
            continue
        address = came[1]
        arrivals = seen.setdefault(address, packets.Arrivals())
        is_last = arrivals.take(one)
        if one.kind == packets.ASK:
            ours.send(address, packets.answer(token, one.attempt, arrivals, _checksum_errors()))
        elif one.kind == packets.FULL and one.is_intact:
            ours.send_full(address, packets.FULL_BACK, one.attempt)
        elif is_last:
            ours.send_batch(address, packets.BATCH_BACK, one.attempt)


class _Peer:
    """One of the containers that are asked, and what is known of the way there and back."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.arrivals = packets.Arrivals()
        self.answer: packets.Answer | None = None
        self.mtu = 0
        self.checksum_errors = 0
        self.refused = ""
        self.full_there = self.full_back = self.batch_there = self.batch_back = False

    @property
    def is_done(self) -> bool:
        return self.full_there and self.full_back and self.batch_there and self.batch_back

    def take(self, one: packets.Datagram, data: bytes) -> None:
        self.arrivals.take(one)
        if one.kind == packets.ANSWER and (answer := packets.answered_untrusted(data)):
            self.answer = answer
            self.full_there |= answer.full
            self.batch_there |= answer.batch
        self.full_back |= one.attempt in self.arrivals.full
        self.batch_back |= self.arrivals.has_batch(one.attempt)

    def as_json(self) -> str:
        there = self.answer or packets.Answer(full=False, batch=False, damaged=0, checksum_errors=0)
        values = {
            "answered": self.answer is not None,
            "full_there": self.full_there,
            "full_back": self.full_back,
            "batch_there": self.batch_there,
            "batch_back": self.batch_back,
            "damaged": there.damaged + self.arrivals.damaged,
            "checksum_errors": there.checksum_errors + self.checksum_errors,
            "mtu": self.mtu,
        }
        figures = ", ".join(f'"{key}": {str(value).lower()}' for key, value in values.items())
        return f'{{"address": "{self.address}", "refused": "{self.refused}", {figures}}}'


def _check(token: bytes, addresses: Sequence[str]) -> list[_Peer]:
    ours = _Sending(token, 0)
    with ours.socket:
        return _exchanged(ours, addresses)


def _exchanged(ours: _Sending, addresses: Sequence[str]) -> list[_Peer]:
    peers = {address: _Peer(address) for address in addresses}
    began_s, errors_before = time.monotonic(), _checksum_errors()
    attempts = dict.fromkeys(addresses, 0)
    for attempt in range(1, 0xFFFF):
        waiting = [peer for peer in peers.values() if not peer.is_done and attempts[peer.address] < _ATTEMPTS]
        if time.monotonic() - began_s > _FIRST_ANSWER_S:
            waiting = [peer for peer in waiting if peer.answer is not None]
        if not waiting:
            break
        for peer in waiting:
            attempts[peer.address] += peer.answer is not None
            ours.send_full((peer.address, PORT), packets.FULL, attempt)
            ours.send_batch((peer.address, PORT), packets.BATCH, attempt)
            ours.send((peer.address, PORT), packets.packed(ours.token, packets.ASK, attempt, 0, 0))
        _take_for(_ATTEMPT_S, ours, peers, waiting)
    for peer in peers.values():
        peer.mtu = _path_mtu((peer.address, PORT))
        peer.checksum_errors = _checksum_errors() - errors_before
        peer.refused = ours.refused.get(peer.address, "")
    return list(peers.values())


def _take_for(seconds: float, ours: _Sending, peers: dict[str, _Peer], waiting: Sequence[_Peer]) -> None:
    """Take what comes for *seconds*, or until those that are *waiting* have all."""
    until_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < until_s and not all(peer.is_done for peer in waiting):
        came = ours.received(until_s - now_s)
        one = came and packets.opened_untrusted(came[0], ours.token)
        if came and one and came[1][0] in peers:
            peers[came[1][0]].take(one, came[0])
