"""What the senders of this folder share: the arguments, the clip in datagrams, and the list of destinations."""

from pathlib import Path
from typing import NamedTuple

from bench.values import TS_BYTES


class SendSpec(NamedTuple):
    """What to send, where to, at which rate, and how often to send what is due."""

    datagrams: list[bytes]
    destinations: list[tuple[str, int]]
    datagrams_per_s: float
    tick_s: float


def read_spec(arguments: list[str]) -> SendSpec:
    """Parse the arguments FILE DESTINATIONS BYTES_PER_S TICK_MS, and read both files."""
    clip_path, listing, bytes_per_s, tick_ms = arguments
    data = Path(clip_path).read_bytes()
    datagrams = [data[start : start + TS_BYTES] for start in range(0, len(data) - TS_BYTES + 1, TS_BYTES)]
    return SendSpec(
        datagrams, parse_listing(Path(listing).read_text()), float(bytes_per_s) / TS_BYTES, float(tick_ms) / 1000
    )


def parse_listing(text: str) -> list[tuple[str, int]]:
    """Return the destinations in *text*, one "address port" a line.

    >>> parse_listing("198.18.32.1 6000\\n")
    [('198.18.32.1', 6000)]
    """
    pairs = (line.split() for line in text.splitlines())
    return [(address, int(port)) for address, port in pairs]


def format_listing(destinations: list[tuple[str, int]]) -> str:
    """Return the text from which :func:`parse_listing` reads *destinations*."""
    return "".join(f"{address} {port}\n" for address, port in destinations)
