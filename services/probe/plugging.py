"""Finds the link of a client, and leads it through a wire.

::

    before   bridge ── veth ══ eth0
    after    bridge ── fw… ══ b3 ─ the wire's kernel ─ c3 ══ eth0       b3, c3 are in the wire's namespace

The wire's namespace owns one end of either veth pair. So when the wire ends, the kernel removes both pairs: the client
is cut off, and nothing is left on the host. Plugging moves no interface of another client, and so costs it nothing.

Each step can be done again. A plug that was interrupted is completed by the next one.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from probe import links, wire
from probe.commands import ProbeError, entered, run, run_side_by_side
from probe.links import Link

OFFLOADS_OFF = ("tx", "off", "sg", "off", "tso", "off", "gso", "off", "tx-udp-segmentation", "off")
"""A wire's packet sockets take whole frames with their checksums. Both ends that frames come from must make them so."""

_INTERFACE = re.compile(r"^(\d+): ([^:@]+)@if(\d+): .*? link/ether (\S+)", re.MULTILINE)


class Interface(NamedTuple):
    """One end of a veth pair, as ``ip -o link`` shows it."""

    name: str
    ifindex: int
    peer: int
    """The ifindex of the other end, in the namespace that has it."""
    mac: str


def interfaces(text: str) -> dict[str, Interface]:
    """Return the ends of veth pairs in the output of ``ip -o link``, by name.

    >>> interfaces("12: eth0@if13: <UP> mtu 1500 qdisc noqueue state UP mode D link/ether 02:42:c6:12:07:0d brd ff:ff")
    {'eth0': Interface(name='eth0', ifindex=12, peer=13, mac='02:42:c6:12:07:0d')}
    """
    found = [Interface(name, int(index), int(peer), mac) for index, name, peer, mac in _INTERFACE.findall(text)]
    return {one.name: one for one in found}


class Client(NamedTuple):
    """A client and its end of the link."""

    number: int
    pid: int
    eth0: Interface

    def is_peer(self, other: Interface) -> bool:
        """Whether *other* is the other end of the link; an ifindex is unique in its namespace only."""
        return other.ifindex == self.eth0.peer and other.peer == self.eth0.ifindex


class Plug(NamedTuple):
    """What is needed to lead the link of *client* through *wire*."""

    client: Client
    wire: int
    bridge: str
    """Docker's bridge, on which the host's end of the link was."""
    owner: int
    """A process in the namespace that the other end of eth0 is in; 0: this one."""
    end: str
    """The name of that end there."""

    @property
    def port(self) -> str:
        """The new port on the bridge: at most 15 characters, and no other wire of this host has its process."""
        return f"fw{self.wire}-{self.client.number}"

    @property
    def bridge_end(self) -> str:
        """The other end of the port, in the wire's namespace."""
        return f"b{self.client.number}"

    @property
    def client_end(self) -> str:
        """The other end of eth0, in the wire's namespace."""
        return Link(self.client.number, self.client.pid, self.port).client_end


def find_links(clients: Sequence[tuple[int, int]], wires: Sequence[int]) -> list[Link]:
    """Return the links of *clients* (number, process); lead those that pass through no wire through one of *wires*.

    A link stays where it is as long as it exists. Raises :class:`ProbeError` for a client whose link has ended,
    or if no pair is left for a link.
    """
    found = {number: link for number, pid in clients if (link := links.remembered(number)) and link.pid == pid}
    if ended := [number for number, link in found.items() if link.has_ended]:
        raise ProbeError(
            f"the link of client {ended[0]} has ended with its wire or its eth0: start the lab again (make lab)"
        )
    new = [(number, pid) for number, pid in clients if number not in found or (wires and not found[number].wire)]
    ends = run_side_by_side([([*entered(pid), "ip", "-o", "link"], "") for _, pid in new])
    there = [Client(number, pid, _eth0(number, text)) for (number, pid), text in zip(new, ends, strict=True)]
    here = run(["ip", "-o", "link"]) if there else ""
    if wires:
        found |= {link.number: link for link in _plug(there, wires, here)}
    else:
        found |= {one.number: Link(one.number, one.pid, _host_end(one, here)) for one in there}
    for link in found.values():
        links.remember(link)
    return [found[number] for number, _ in clients]


def _eth0(number: int, text: str) -> Interface:
    if "eth0" not in (found := interfaces(text)):
        raise ProbeError(f"client {number} has no eth0 that is one end of a veth pair: start the lab again (make lab)")
    return found["eth0"]


def _host_end(client: Client, here: str) -> str:
    """Return the name of this namespace's end of the link of *client*; *here*: the output of ``ip -o link``.

    Not by /sys, which shows the namespace in which it was mounted. Raises :class:`ProbeError`.
    """
    for one in interfaces(here).values():
        if client.is_peer(one):
            return one.name
    raise ProbeError(f"the other end of client {client.number}'s eth0 is not in the engine host's namespace")


def bridge_of(interface: str, here: str) -> str:
    """Return the bridge that *interface* is a port of, by the output of ``ip -o link``; empty where it is none.

    >>> bridge_of("veth7", "9: veth7@if8: <UP> mtu 1500 qdisc noqueue master br-1 state UP mode DEFAULT")
    'br-1'
    """
    found = re.search(rf"^\d+: {re.escape(interface)}[@:].*? master (\S+)", here, re.MULTILINE)
    return found[1] if found else ""


def _plug(clients: Sequence[Client], wires: Sequence[int], here: str) -> list[Link]:
    """Lead the links of *clients* through the first of *wires* that have pairs left."""
    spare = {pid: wire.spare_pairs(pid) for pid in wires}
    inside = {pid: interfaces(run([*entered(pid), "ip", "-o", "link"])) for pid in wires}
    plugs = []
    for client in clients:
        chosen = next((pid for pid in wires if spare[pid]), None)
        if chosen is None:
            raise ProbeError(f"no wire has a pair of interfaces left for client {client.number}")
        spare[chosen] -= 1
        plugs.append(_prepare(client, chosen, inside, here))
    _remove_remains(plugs, inside)
    _make_ports(plugs)
    _move_ends(plugs)
    return [_join(one) for one in plugs]


def _prepare(client: Client, chosen: int, inside: dict[int, dict[str, Interface]], here: str) -> Plug:
    """Return the plug of *client*, found where an interrupted one has left the other end of its eth0."""
    at = [
        (pid, end.name)
        for pid, found in inside.items()
        if (end := found.get(f"c{client.number}")) and client.is_peer(end)
    ]
    if not at:
        at = [(0, _host_end(client, here))]
        # Once the end has left the bridge, nothing else shows which one it was.
        links.write(client.number, "bridge", bridge_of(at[0][1], here))
    bridge = links.read(client.number, "bridge")
    if not bridge:
        raise ProbeError(f"the link of client {client.number} is on no bridge: start the lab again (make lab)")
    return Plug(client, chosen, bridge, *at[0])


def _remove_remains(plugs: Sequence[Plug], inside: dict[int, dict[str, Interface]]) -> None:
    """Remove what is left of earlier links of the same clients: of clients that restarted, of interrupted plugs."""
    for pid, found in inside.items():
        remains = [
            name
            for one in plugs
            for name in (one.bridge_end, one.client_end)
            if name in found and not one.client.is_peer(found[name])
        ]
        for name in remains:  # one by one: the end of a client that is just ending may vanish before
            run([*entered(pid), "sh", "-c", 'ip link del "$0" 2>/dev/null || ! ip link show "$0" 2>/dev/null', name])


def _make_ports(plugs: Sequence[Plug]) -> None:
    """Make the new ports and let the bridges send to them.

    The other end is set up first: a bridge would leave a port without a carrier disabled for a while. The bridges are
    told the client's address in advance: else they would send its datagrams to all ports until it sends something.
    ``sticky``: a frame that still comes over the old port does not change that.
    """
    _batch(0, [f"link add {one.port} type veth peer name {one.bridge_end} netns {one.wire}" for one in plugs])
    _batch(0, [line for one in plugs for line in _without_ipv6(one.port)])
    _set_up(plugs, "bridge_end")
    devices = [pair for one in plugs for pair in ((0, one.port), (one.client.pid, "eth0"))]
    run_side_by_side([([*entered(pid), "ethtool", "-K", name, *OFFLOADS_OFF], "") for pid, name in devices])
    _batch(0, [f"link set {one.port} up master {one.bridge}" for one in plugs])
    _bridge([f"fdb replace {one.client.eth0.mac} dev {one.port} master static sticky" for one in plugs])


def _move_ends(plugs: Sequence[Plug]) -> None:
    """Move the other end of each eth0 into the wire's namespace."""
    for owner in {one.owner for one in plugs}:
        moving = [one for one in plugs if one.owner == owner and owner != one.wire]
        _batch(owner, [f"link set {one.end} down" for one in moving])
        _batch(owner, [f"link set {one.end} netns {one.wire} name {one.client_end}" for one in moving])
    _set_up(plugs, "client_end")


def _set_up(plugs: Sequence[Plug], end: str) -> None:
    """Set the interfaces *end* (an attribute of :class:`Plug`) in the wires' namespaces up."""
    for pid in {one.wire for one in plugs}:
        names = [getattr(one, end) for one in plugs if one.wire == pid]
        _batch(pid, [line for name in names for line in (*_without_ipv6(name), f"link set {name} up")])


def _join(one: Plug) -> Link:
    """Let the wire join the two ends; from now on frames pass."""
    pair = wire.ask(one.wire, {"do": "plug", "client": one.client_end, "bridge": one.bridge_end})["pair"]
    _bridge([f"fdb replace {one.client.eth0.mac} dev {one.port} master static"])
    return Link(one.client.number, one.client.pid, one.port, one.wire, pair)


def _without_ipv6(interface: str) -> list[str]:
    """Return the command after which this kernel sends no IPv6 of its own on *interface*; none without IPv6.

    /proc/sys is read-only in the probe, so ``disable_ipv6`` cannot be set.
    """
    return [f"link set {interface} addrgenmode none"] if os.path.exists("/proc/sys/net/ipv6") else []


def _batch(pid: int, lines: Sequence[str]) -> None:
    """Run ``ip`` commands in the namespace of process *pid* (0: this one)."""
    if lines:
        run_side_by_side([([*entered(pid), "ip", "-batch", "-"], "\n".join(lines) + "\n")])


def _bridge(lines: Sequence[str]) -> None:
    run_side_by_side([(["bridge", "-batch", "-"], "\n".join(lines) + "\n")])
