"""Networks that are allowed or denied. Pure.

The most specific network that holds an address decides; of two alike, the denied one. An address that no network holds
is allowed, unless networks are allowed: then only those are.
"""

import functools
import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from flume.errors import SettingsError

ADDRESSES_KEPT = 4096
"""Addresses whose answer is kept: parsing one costs 3 µs, and a flood comes from the same few."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Rule(NamedTuple):
    """One network, as numbers: an address is in it whose bits under *mask* are *bits*."""

    version: int
    bits: int
    mask: int
    prefix_length: int
    is_allowed: bool


class NetworkRules:
    """The answer for each address.

    >>> rules = NetworkRules(allow=["192.0.2.0/24"], deny=["192.0.2.128/25"])
    >>> [rules.admits(address) for address in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.200", "2001:db8::1")]
    [True, True, False, False]
    """

    def __init__(self, *, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        """Take networks, or single addresses, as text; raises :class:`SettingsError` for what is neither."""
        named = [(_rule("allow", text, is_allowed=True), text) for text in allow]
        named += [(_rule("deny", text, is_allowed=False), text) for text in deny]
        # The most specific first; at the same length the denied one.
        self._rules = [rule for rule, _ in sorted(named, key=lambda item: (-item[0].prefix_length, item[0].is_allowed))]
        self._otherwise = not any(rule.is_allowed for rule in self._rules)
        self._look_up = functools.lru_cache(ADDRESSES_KEPT)(self._decide)

    @property
    def is_empty(self) -> bool:
        """Whether every address is allowed."""
        return not self._rules

    def admits(self, address: str) -> bool:
        """Return whether *address* may come in: IPv4, IPv6 with or without a scope, or IPv4 mapped into IPv6."""
        return not self._rules or self._look_up(address)

    def _decide(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        version, number = parsed.version, int(parsed)
        for rule in self._rules:
            if rule.version == version and number & rule.mask == rule.bits:
                return rule.is_allowed
        return self._otherwise


def _rule(key: str, text: str, *, is_allowed: bool) -> Rule:
    network = _network(key, text)
    prefix_length = network.prefixlen
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        address = ipaddress.IPv4Address(int(network.network_address) & 0xFFFF_FFFF)
        network = ipaddress.IPv4Network((address, prefix_length - _MAPPED.prefixlen))
        prefix_length = network.prefixlen
    return Rule(network.version, int(network.network_address), int(network.netmask), prefix_length, is_allowed)


def _network(key: str, text: str) -> Network:
    try:
        meant = ipaddress.ip_network("" if "%" in text else text, strict=False)
    except ValueError:
        allowed = "a network such as 192.0.2.0/24 or 2001:db8::/32, or an address; no name and no scope"
        raise SettingsError(key, text, allowed) from None
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        allowed = f"a network has no bits behind its prefix: {meant} is meant, or the address alone"
        raise SettingsError(key, text, allowed) from None
