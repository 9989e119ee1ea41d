"""What a preflight finds out about each host of a lab. Pure: values, and the parsing of what the probe prints."""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from flume.lab.containers.engine_values import EngineInfo


class Underlay(NamedTuple):
    """By which interface a host reaches the others."""

    interface: str
    mtu: int


class Path(NamedTuple):
    """What came of the datagrams between the server's host and another, over an overlay network: there and back."""

    answered: bool
    full: tuple[bool, bool]
    """Datagrams as large as the network allows, in one piece."""
    batch: tuple[bool, bool]
    """A batch that a network card, or the kernel in its place, cuts into datagrams."""
    damaged: int
    checksum_errors: int
    mtu: int
    """Of the overlay network."""
    refused: str = ""
    """The kernel's word for a datagram that it did not send."""

    @property
    def is_good(self) -> bool:
        """Whether all came, and nothing else."""
        return self.answered and all((*self.full, *self.batch)) and not self.damaged and not self.checksum_errors


class HostFacts(NamedTuple):
    """What was found out about one host; None: not looked at."""

    name: str
    info: EngineInfo
    address: str = ""
    """At which the other hosts may reach it, where the hosts file or a route says so."""
    netem: str = ""
    """Where its links meet netem: ``kernel``, ``wire`` or ``none``."""
    underlay: Underlay | None = None
    images: Mapping[str, bool] | None = None
    """Image → whether it was there already, in the version of the server's host."""
    path: Path | None = None
    problem: str = ""
    """Why it could not be looked at further."""
    clock: str = ""
    """How far its clock is ahead of that of the server's host, in words."""

    @property
    def known_address(self) -> str:
        """The address at which other hosts reach it, for a person; ``ADDRESS`` where it is not known."""
        swarm = self.info.swarm
        return (swarm.address if swarm else "") or self.address or "ADDRESS"


def underlay_untrusted(printed: str) -> Underlay | None:
    """Return the interface with the smallest MTU among those in *printed*; None: no other host is known or routed.

    *printed* is ``ip -j link`` and, a line for each other host, ``ip -j route get ADDRESS``.

    >>> underlay_untrusted('[{"ifname":"eth0","mtu":1500}]\\n[{"dst":"198.18.0.2","dev":"eth0"}]')
    Underlay(interface='eth0', mtu=1500)
    """
    links, *routes = [_json_list(line) for line in printed.splitlines() if line.strip()] or [[]]
    mtus = {str(one.get("ifname", "")): _whole(one.get("mtu")) for one in links}
    found = []
    for route in (one for part in routes for one in part):
        interface = str(route.get("dev", ""))
        metric = re.search(r"\d+", str(route.get("mtu", "")))
        if mtu := int(metric[0][:6]) if metric else mtus.get(interface, 0):
            found.append(Underlay(interface, mtu))
    return min(found, key=lambda one: one.mtu, default=None)


def _json_list(line: str) -> list[dict[str, object]]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 1 << 20 else 0


def is_address(text: str) -> bool:
    """Return whether *text* is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
