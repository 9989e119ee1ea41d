"""The wire of the benchmark: two namespaces, a veth pair, and thousands of addresses behind one neighbour entry.

The only file that runs ip, nft and ethtool. Each live client has an address in 198.18.16.0/20. Sample clients, whose
datagrams are examined, have addresses in 198.18.32.0/24. Both blocks are routed to the client's end and are local there
as a whole ("AnyIP"). So a thousand clients do not reach the kernel's limit of 1024 neighbours. The addresses of dead
clients are on the link and answer no ARP.
"""

import ipaddress
import os
import re
import subprocess
from pathlib import Path

import msgspec

from bench.values import BenchError
from support.namespaces import SERVER_ADDRESS, WirePair

STEM = "flume-bench"
CLIENT_SIDE = "198.18.0.1"
LIVE = ipaddress.ip_network("198.18.16.0/20")
SAMPLES = ipaddress.ip_network("198.18.32.0/24")
SAMPLE_CLIENTS = 8
MEDIA_PORT = 6000
FIRST_DEAD = ipaddress.ip_address("198.18.0.100")
MAX_DEAD = 100

_DROP_RULES = f"""\
table netdev bench {{
  chain in {{
    type filter hook ingress device "eth0" priority 0;
    ip daddr {LIVE} udp length > 100 counter drop
  }}
}}
"""
"""Shorter datagrams are questions of the server, which clients answer, and no media. A drop by tc would need modules
that small kernels lack. nft requires the line break after a chain's type."""


def client_addresses(clients: int) -> list[str]:
    """Return the addresses of *clients* live clients, the samples first.

    >>> client_addresses(9)[7:]
    ['198.18.32.8', '198.18.16.1']
    """
    samples = min(SAMPLE_CLIENTS, clients)
    return [str(SAMPLES[1 + number]) for number in range(samples)] + [
        str(LIVE[1 + number]) for number in range(clients - samples)
    ]


def dead_addresses(dead: int) -> list[str]:
    """Return the addresses of *dead* clients."""
    if dead > MAX_DEAD:
        raise BenchError(f"{dead} dead clients asked for: there are addresses for {MAX_DEAD}")
    return [str(FIRST_DEAD + number) for number in range(dead)]


def _run(*arguments: str, text: str | None = None) -> str:
    """Run a network tool and return its standard output; raise :class:`BenchError` if it fails."""
    try:
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"`{' '.join(arguments)}`: {error}") from error
    if done.returncode:
        raise BenchError(f"`{' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _is_alive(pid: int) -> bool:
    return Path("/proc", str(pid)).exists()


def remove_stale(stem: str = STEM) -> list[str]:
    """Remove the namespaces that killed runs left behind, with names of *stem*; return the names."""
    owned = re.compile(rf"{stem}-(\d+)-\d+-[sc]")
    folder = Path("/run/netns")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    stale = [name for name in names if (found := owned.fullmatch(name)) and not _is_alive(int(found[1]))]
    for name in stale:
        subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True, timeout=20)
    return stale


class BenchNetwork(WirePair):
    """Use ``with``; needs root. Both namespaces have this process's PID in their names, and ``with`` removes them."""

    def __init__(self) -> None:
        """Make nothing; ``with`` makes the namespaces."""
        super().__init__(clients=0, segmentation=True, stem=STEM)
        self._dropping = False

    def _make(self) -> None:
        self._join()
        _run("ip", "-n", self.server, "addr", "add", f"{SERVER_ADDRESS}/24", "dev", "eth0")
        _run("ip", "-n", self.client, "addr", "add", f"{CLIENT_SIDE}/24", "dev", "eth0")
        for name in (self.server, self.client):
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        for block in (LIVE, SAMPLES):
            _run("ip", "-n", self.server, "route", "add", str(block), "via", CLIENT_SIDE)
            _run("ip", "-n", self.client, "route", "add", "local", str(block), "dev", "lo")

    def prepare(self, *, wire: bool, offload: bool) -> None:
        """Set up one cell, and flush the neighbour entries.

        *wire*: drop the datagrams as they leave the wire. *offload*: the wire accepts segmentation batches whole.
        """
        state = "on" if offload else "off"
        _run(*self.inside(self.server, "ethtool", "-K", "eth0", "tx-udp-segmentation", state, "gso", state))
        if self._dropping:
            _run(*self.inside(self.client, "nft", "delete", "table", "netdev", "bench"))
            self._dropping = False
        if wire:
            _run(*self.inside(self.client, "nft", "-f", "-"), text=_DROP_RULES)
            self._dropping = True
        self.forget_neighbours()

    def forget_neighbours(self) -> None:
        """Flush the server's neighbour entries, so that it resolves each address again."""
        _run("ip", "-n", self.server, "neigh", "flush", "dev", "eth0")

    def dropped(self) -> tuple[int, int]:
        """Return packets and bytes that the rule has dropped; a segmentation batch is one packet."""
        if not self._dropping:
            return 0, 0
        listing = _run(*self.inside(self.client, "nft", "-j", "list", "chain", "netdev", "bench", "in"))
        return parse_drop_counter(listing)

    def add_addresses(self, addresses: list[str]) -> None:
        """Add *addresses* to the client's end, where they answer ARP."""
        for address in addresses:
            _run("ip", "-n", self.client, "addr", "add", f"{address}/24", "dev", "eth0")

    def remove_addresses(self, addresses: list[str]) -> None:
        """Remove *addresses* from the client's end, so that they answer no ARP any more."""
        for address in addresses:
            _run("ip", "-n", self.client, "addr", "del", f"{address}/24", "dev", "eth0")
        self.forget_neighbours()

    def server_command(self, *arguments: str, user: str | None = None) -> list[str]:
        """Return the command that runs *arguments* at the server's end; the kernel kills it when this process ends."""
        privileges = (f"--reuid={user}", "--regid=nogroup", "--clear-groups", "--inh-caps=-all") if user else ()
        return self.inside(self.server, "setpriv", "--pdeathsig", "KILL", *privileges, *arguments)


def parse_drop_counter(listing: str) -> tuple[int, int]:
    """Return packets and bytes of the one counter in nft's JSON *listing*."""
    for entry in msgspec.json.decode(listing)["nftables"]:
        for part in entry.get("rule", {}).get("expr", []):
            if "counter" in part:
                return int(part["counter"]["packets"]), int(part["counter"]["bytes"])
    raise BenchError("nft lists no counter in the table bench: has another program removed its rule?")


def is_root() -> bool:
    """Report whether this process may make network namespaces."""
    return os.geteuid() == 0
