"""What the kernel and its programs print, as things. Pure: text in, things out."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

from support.residue.values import Thing, numbered

_CHANGES = re.compile(r" (linkdown|dead)\b| expires \d+sec| refcnt \d+|\s+$")
"""What a route or a qdisc says that changes while it stays the same one."""

_COUNTS = re.compile(r" *\[\d+:\d+\]")
"""What a chain of iptables has counted: packets and bytes."""

_LISTENS = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


def routes(text: str) -> list[Thing]:
    """Return the routes that ``ip -o route`` prints.

    >>> routes("10.0.0.0/8 dev br-1 scope link linkdown \\n")[0].name
    '10.0.0.0/8 dev br-1 scope link'
    """
    return numbered("route", _lines(text))


def policies(text: str) -> list[Thing]:
    """Return the rules that ``ip rule`` prints."""
    return numbered("rule", (f"policy {line}" for line in _lines(text)))


def qdiscs(text: str) -> list[Thing]:
    """Return the queueing disciplines that ``tc qdisc show`` prints."""
    return numbered("qdisc", _lines(text))


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip():
            yield _CHANGES.sub("", line)


def nft_rules(text: str) -> list[Thing]:
    """Return the tables, chains, sets and rules that ``nft -s list ruleset`` prints.

    >>> print(*(one.name for one in nft_rules("table ip a {\\n\\tchain b {\\n\\t\\tdrop\\n\\t}\\n}\\n")), sep="; ")
    nft table ip a; nft table ip a: chain b; nft table ip a: chain b: drop
    """
    found, inside = [], list[str]()
    for line in (raw.strip() for raw in text.splitlines()):
        if line == "}":
            inside.pop()
        elif line.endswith("{"):
            inside.append(line.removesuffix("{").strip())
            found.append(": ".join(inside))
        elif line and not line.startswith("#"):
            found.append(": ".join([*inside, line]))
    return numbered("rule", (f"nft {one}" for one in found))


def iptables_rules(text: str, family: str) -> list[Thing]:
    """Return the chains and rules that ``iptables-save`` (*family* ip) or ``ip6tables-save`` (ip6) prints.

    >>> [one.name for one in iptables_rules("*filter\\n:INPUT ACCEPT [3:180]\\n-A INPUT -j DROP\\nCOMMIT\\n", "ip")]
    ['ip filter :INPUT ACCEPT', 'ip filter -A INPUT -j DROP']
    """
    found, table = [], ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith((":", "-A")):
            found.append(f"{family} {table} {_COUNTS.sub('', line)}")
    return numbered("rule", found)


def mounts(text: str) -> list[Thing]:
    """Return the mount points in *text*, a /proc/PID/mountinfo.

    >>> str(mounts("30 1 0:25 / /run rw shared:5 - tmpfs tmpfs rw\\n")[0])
    'mount /run (tmpfs tmpfs)'
    """
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        found.append((left.split()[4], " ".join(right.split()[:2])))
    names = numbered("mount", (point for point, _ in found))
    return [Thing("mount", one.name, what) for one, (_, what) in zip(names, found, strict=True)]


def inet_sockets(text: str, protocol: str, owners: Mapping[str, str]) -> list[Thing]:
    """Return the sockets of *protocol* (tcp, udp, raw and with a 6) in its file of /proc/net; of TCP those that listen.

    *owners*: number of the socket's inode → its process, in words.
    """
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if not protocol.startswith("tcp") or fields[3] == _LISTENS:
            inode = fields[9]
            found.append(Thing("socket", f"{protocol} {_address(fields[1])} inode {inode}", owners.get(inode, "")))
    return found


def _address(field: str) -> str:
    """Return address and port in the form of /proc/net/tcp as people write them.

    >>> _address("0100007F:138C"), _address("00000000000000000000000001000000:138C")
    ('127.0.0.1:5004', '[::1]:5004')
    """
    raw, _, port = field.partition(":")
    words = [bytes.fromhex(raw[at : at + 8])[::-1] for at in range(0, len(raw), 8)]
    address = ipaddress.ip_address(b"".join(words))
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{shown}:{int(port, 16)}"


def packet_sockets(text: str, owners: Mapping[str, str]) -> list[Thing]:
    """Return the packet sockets in *text*, a /proc/net/packet: what captures, or makes frames of its own."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        found.append(Thing("socket", f"packet on interface {fields[4]} inode {fields[8]}", owners.get(fields[8], "")))
    return found


def unix_sockets(text: str, owners: Mapping[str, str]) -> list[Thing]:
    """Return the Unix sockets with a name that listen, in *text*, a /proc/net/unix."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        has_name, listens = len(fields) > 7, int(fields[3], 16) & 0x10000
        if has_name and listens:
            found.append(Thing("socket", f"unix {fields[7]} inode {fields[6]}", owners.get(fields[6], "")))
    return found


def process(number: str, stat: str, command: bytes, cgroup: str, environment: bytes) -> Thing | None:
    """Return the process *number* from its files in /proc; None for one that has ended.

    ``about`` has its name, command line, control groups, and the lab that its environment names.
    """
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in {"Z", "X"}:
        return None
    labs = [one.decode(errors="replace") for one in environment.split(b"\0") if one.startswith(b"FLUME_LAB=")]
    words = [one.decode(errors="replace") for one in command.split(b"\0") if one]
    groups = sorted({line.rpartition(":")[2] for line in cgroup.splitlines()} - {"/"})
    return Thing("process", f"{number} since tick {fields[19]}", " ".join([name, *labs, *words, *groups]))


def unique(things: Iterable[Thing]) -> tuple[Thing, ...]:
    """Return *things* sorted, each name of a kind once."""
    return tuple({(one.kind, one.name): one for one in sorted(things)}.values())
