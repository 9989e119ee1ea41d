"""Hosts behind a NAT: the client's end of a :class:`.WirePair` routes for them, and gives their ports other numbers."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from support.namespaces import WirePair, _enter, _run, client_address

OUTSIDE_PORTS = range(61_000, 65_000)
"""Beyond those that hosts choose: a port outside is never the one inside."""

FORGOTTEN_S = 1
"""So soon this NAT forgets a port over UDP on which nothing comes; others take 30 s to some minutes."""


class Nat:
    """Makes *hosts* networks behind *pair*, with one host each. Use ``with``, inside of that of *pair*.

    All share the first address outside, or each has its own, if they are not *shared*. Over UDP the NAT chooses a port
    of :data:`OUTSIDE_PORTS` at random. What comes from outside to no such port is dropped in silence.
    """

    def __init__(self, pair: WirePair, *, hosts: int, shared: bool) -> None:
        self._pair, self._shared = pair, shared
        self.hosts = [f"{pair.client}{number}" for number in range(hosts)]

    def outside(self, number: int) -> str:
        """Return the address that host *number* has outside."""
        return client_address(0 if self._shared else number)

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.hosts:
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True, timeout=20)

    def _make(self) -> None:
        router = self._pair.client
        for number, name in enumerate(self.hosts):
            _run("ip", "netns", "add", name)
            ends = ("eth0", "netns", name, "type", "veth", "peer", "name", f"in{number}", "netns", router)
            _run("ip", "link", "add", *ends)
            for where, device, last in ((name, "eth0", 2), (router, f"in{number}", 1)):
                _run("ip", "-n", where, "addr", "add", f"10.77.{number}.{last}/24", "dev", device)
                _run("ip", "-n", where, "link", "set", device, "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "route", "add", "default", "via", f"10.77.{number}.1")
        ports = f"{OUTSIDE_PORTS[0]}-{OUTSIDE_PORTS[-1]}"
        rules = [
            f"ip saddr 10.77.{number}.0/24 meta l4proto {protocol} oifname eth0 snat to {self.outside(number)}{which}"
            for number in range(len(self.hosts))
            for protocol, which in (("udp", f":{ports} fully-random"), ("tcp", ""))
        ]
        chains = {
            "out": ("nat hook postrouting priority 100", rules),
            "in": ("filter hook input priority 0", ["iifname eth0 meta l4proto udp drop"]),
        }
        lines = [
            line for name, (hook, body) in chains.items() for line in (f"chain {name} {{", f"type {hook};", *body, "}")
        ]
        _run(*self._pair.inside(router, "nft", "-f", "-"), text="\n".join(["table ip nat {", *lines, "}", ""]))
        settings = (
            "net.ipv4.ip_forward=1",
            *(f"net.netfilter.nf_conntrack_udp_timeout{kind}={FORGOTTEN_S}" for kind in ("", "_stream")),
        )
        _run(*self._pair.inside(router, "sysctl", "-qw", *settings))

    @contextlib.contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Within the block, sockets that this thread opens belong to host *number*."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as home,
            Path("/run/netns", self.hosts[number]).open("rb") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def command(self, number: int, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs *arguments* on host *number*."""
        return self._pair.inside(self.hosts[number], *arguments)

    def sockets(self, number: int) -> tuple[socket.socket, socket.socket]:
        """Return a TCP socket and a UDP socket of host *number*, bound to ports of its choice."""
        with self.inside(number):
            control, media = (
                socket.socket(socket.AF_INET, socket.SOCK_STREAM),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            )
        media.bind((f"10.77.{number}.2", 0))
        media.setblocking(False)
        return control, media
