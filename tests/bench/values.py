"""The values of a benchmark run: what is asked for (a cell) and what was seen (an outcome). All frozen, all JSON."""

from typing import Literal

import msgspec

from flume.errors import FlumeError
from flume.settings import ServerSettings

PathKind = Literal["sockets", "wire"]
"""Where datagrams end: in sockets of the client namespace, or dropped as they come off the wire."""

RATES_MBIT = (2, 8, 25)
TS_BYTES = 1316
"""Seven transport packets: what every sender puts into a datagram, with or without RTP's 12 bytes before them."""

RTP_HEADER_BYTES = 12
WIRE_HEADER_BYTES = 28
"""IPv4 and UDP, as the counter at the ingress hook sees them."""

BATCH = ServerSettings().batch_datagrams
"""What people get who ask for nothing else."""

MAX_SECONDS = 15.0
"""Senders that do not loop end with the clip, which is 30 s long; start, settling and window must fit into it."""


class BenchError(FlumeError):
    """A measurement could not be made; says of what, and what was seen."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: *sender* to *clients* live clients at *rate_mbit*, and *dead* ones that answer nothing."""

    sender: str
    clients: int
    rate_mbit: int
    path: PathKind = "sockets"
    offload: bool = False
    tick_ms: float = 10.0
    batch: int = BATCH
    dead: int = 0

    @property
    def network(self) -> str:
        """How the datagrams travel, in words."""
        return f"{self.path}, offload {'on' if self.offload else 'off'}"

    def describe(self) -> str:
        """Return one line for people."""
        dead = f" + {self.dead} dead" if self.dead else ""
        return f"{self.sender} → {self.clients}{dead} clients, {self.rate_mbit} Mbit/s, {self.network}"


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How far datagrams lagged behind the stream's own clock, relative to the earliest of the same client."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    datagrams: int
    """How many could be placed between two PCRs."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one window showed. *failure* says why there is none; then the figures mean nothing."""

    failure: str | None = None
    invalid: str | None = None
    """The measuring itself was at fault (the sink lost datagrams that had arrived)."""
    window_s: float = 0.0
    cpu_s: float = 0.0
    cores: float = 0.0
    cpu_cross_check_cores: float = 0.0
    """The same by utime and stime, which know threads that have ended but count in steps of 10 ms."""
    waited_cores: float = 0.0
    """Threads of the sender that stood ready and got no processor, on average."""
    other_load_cores: float = 0.0
    """Other load: CPU time of this host that neither the sender nor the bench has taken. It is noise."""
    delivered_per_s: float = 0.0
    """Datagrams to all live clients."""
    per_client_per_s: float = 0.0
    worst_client_per_s: float = 0.0
    cpu_us_per_datagram: float = 0.0
    lateness: Lateness | None = None
    silence_ms: float = 0.0
    continuity_errors: int = 0
    sequence_gaps: int = 0
    sink_drops: int = 0
    rss_mib: float = 0.0
    threads: int = 0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A cell and what came of it; *why* names the plan's part that it belongs to."""

    cell: Cell
    outcome: Outcome
    why: str
    repeat: int = 0


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that was not tried, and why."""

    cell: Cell
    reason: str
