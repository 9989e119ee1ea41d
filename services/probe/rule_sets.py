"""What the program ``firewall`` gives to iptables and the kernel, and what it reads from them. Pure: text and bytes."""

import re
import struct
from collections.abc import Callable, Iterable, Sequence

HOOKS = {"IN": ("filter", "INPUT"), "OUT": ("filter", "OUTPUT"), "NAT": ("nat", "POSTROUTING")}
"""Part of a chain's name → table and built-in chain that jumps to it."""

# linux/socket.h, linux/in.h, linux/netfilter/nfnetlink.h and nfnetlink_cttimeout.h
_AF_INET, _UDP = 2, 17
_SUBSYS_TIMEOUT, _DEFAULT_SET, _REQUEST_ACK = 8, 3, 5
_ATTR_L3, _ATTR_L4, _ATTR_DATA, _NESTED, _UNREPLIED, _REPLIED = 2, 3, 4, 0x8000, 1, 2


def chain_name(hook: str, number: int) -> str:
    """Return the name of the chain of client *number* that *hook* (a key of :data:`HOOKS`) jumps to."""
    return f"FLUME-{hook}-{number}"


def own_rules(saved: str, number: int) -> tuple[list[str], list[str]]:
    r"""Return the rules of client *number* and the hooks of its chains, from the output of ``iptables-save -c``.

    >>> own_rules(":FLUME-IN-3 - [0:0]\n[7:99] -A FLUME-IN-3 -p udp -j DROP\n", 3)
    (['[7:99] -A FLUME-IN-3 -p udp -j DROP'], ['IN'])
    """
    hooks = "|".join(HOOKS)
    rules = re.findall(rf"^\[\d+:\d+\] -A FLUME-(?:{hooks})-{number} .*$", saved, re.MULTILINE)
    chains = re.findall(rf"^:FLUME-({hooks})-{number} ", saved, re.MULTILINE)
    return rules, chains


def unhook_input(hooks: Iterable[str], number: int) -> str:
    """Return the input of ``iptables-restore --noflush`` after which no packet meets the chains of client *number*."""
    return _restore_input(hooks, lambda hook: f"-D {HOOKS[hook][1]} -j {chain_name(hook, number)}\n")


def remove_input(hooks: Iterable[str], number: int) -> str:
    """Return the input of ``iptables-restore --noflush`` that removes the chains of client *number*."""
    return _restore_input(hooks, lambda hook: f"-F {chain_name(hook, number)}\n-X {chain_name(hook, number)}\n")


def _restore_input(hooks: Iterable[str], lines: Callable[[str], str]) -> str:
    tables: dict[str, list[str]] = {}
    for hook in hooks:
        tables.setdefault(HOOKS[hook][0], []).append(hook)
    return "".join(f"*{table}\n{''.join(map(lines, names))}COMMIT\n" for table, names in tables.items())


def timeout_message(unreplied_s: int, replied_s: int) -> bytes:
    """Return the netlink message that makes connection tracking forget UDP flows after so many idle seconds.

    *unreplied_s* is for flows without a reply (``nf_conntrack_udp_timeout``), *replied_s* for flows in both directions
    (``nf_conntrack_udp_timeout_stream``).
    """
    unreplied, replied = (struct.pack("!I", seconds) for seconds in (unreplied_s, replied_s))
    body = (
        struct.pack("=BBH", _AF_INET, 0, 0)
        + _attribute(_ATTR_L3, struct.pack("!H", _AF_INET))
        + _attribute(_ATTR_L4, bytes([_UDP]))
        + _attribute(_ATTR_DATA | _NESTED, _attribute(_UNREPLIED, unreplied) + _attribute(_REPLIED, replied))
    )
    return struct.pack("=IHHII", 16 + len(body), _SUBSYS_TIMEOUT << 8 | _DEFAULT_SET, _REQUEST_ACK, 1, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    """Return a netlink attribute, padded to 4 bytes."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def answer_error(answer: bytes) -> int:
    """Return the errno in the kernel's *answer* to a netlink message; 0 is success."""
    return -int(struct.unpack_from("=i", answer, 16)[0])


def groups(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return *items* in groups of *size*; raises :class:`ValueError` when there are none or one is incomplete.

    >>> groups(["7", "1", "8", "2"], 2)
    [['7', '1'], ['8', '2']]
    """
    if not items or len(items) % size:
        raise ValueError(f"{len(items)} arguments are not a multiple of {size}; see the head of this program")
    return [items[at : at + size] for at in range(0, len(items), size)]
