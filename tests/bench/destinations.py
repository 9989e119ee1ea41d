"""What the senders of this folder share: the clip cut into datagrams, the list of destinations, the arguments."""

from pathlib import Path
from typing import NamedTuple

from bench.values import TS_BYTES


class SendSpec(NamedTuple):
    """What the command line asks for."""

    datagrams: list[bytes]
    destinations: list[tuple[str, int]]
    datagrams_per_s: float
    tick_s: float


def read_spec(arguments: list[str]) -> SendSpec:
    """Read what FILE DESTINATIONS BYTES_PER_S TICK_MS stand for."""
    clip_path, listing, bytes_per_s, tick_ms = arguments
    data = Path(clip_path).read_bytes()
    datagrams = [data[start : start + TS_BYTES] for start in range(0, len(data) - TS_BYTES + 1, TS_BYTES)]
    return SendSpec(
        datagrams, parse_listing(Path(listing).read_text()), float(bytes_per_s) / TS_BYTES, float(tick_ms) / 1000
    )


def parse_listing(text: str) -> list[tuple[str, int]]:
    """Return the destinations in *text*, one "address port" a line."""
    pairs = (line.split() for line in text.splitlines())
    return [(address, int(port)) for address, port in pairs]


def format_listing(destinations: list[tuple[str, int]]) -> str:
    """Return what :func:`parse_listing` reads."""
    return "".join(f"{address} {port}\n" for address, port in destinations)
