"""The values of a benchmark run: what to measure (a cell) and the result (an outcome). All frozen, all JSON."""

from typing import Literal

import msgspec

from flume.errors import FlumeError
from flume.settings import ServerSettings

PathKind = Literal["sockets", "wire"]
"""Where datagrams end: in sockets of the client namespace, or dropped as they leave the wire."""

RATES_MBIT = (2, 8, 25)
TS_BYTES = 1316
"""Seven transport packets: the payload of a datagram of every sender, with or without 12 bytes of RTP before it."""

RTP_HEADER_BYTES = 12
WIRE_HEADER_BYTES = 28
"""IPv4 and UDP, as the counter at the ingress hook sees them."""

BATCH = ServerSettings().batch_datagrams
"""The server's default."""

MAX_SECONDS = 15.0
"""The clip is 30 s long, and some senders do not repeat it. Start, settling and window must fit into it."""


class BenchError(FlumeError):
    """A measurement could not be made. The message says which one, and why."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: *sender* sends at *rate_mbit* to *clients* live and *dead* clients; dead ones never answer."""

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
        """Where the datagrams end and whether the wire takes batches, in words."""
        return f"{self.path}, offload {'on' if self.offload else 'off'}"

    def describe(self) -> str:
        """Return the cell as one line for people."""
        dead = f" + {self.dead} dead" if self.dead else ""
        return f"{self.sender} → {self.clients}{dead} clients, {self.rate_mbit} Mbit/s, {self.network}"


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How far datagrams lagged behind the stream's PCR, relative to the earliest datagram of the same client."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    datagrams: int
    """How many datagrams had a stream time: a PCR before and after them."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one window. If *failure* is set, there was no window, and the figures mean nothing."""

    failure: str | None = None
    invalid: str | None = None
    """Why the window does not count: the measurement itself failed (the sink lost datagrams that had arrived)."""
    window_s: float = 0.0
    cpu_s: float = 0.0
    cores: float = 0.0
    cpu_cross_check_cores: float = 0.0
    """The same from utime and stime. They include threads that have ended, but count in steps of 10 ms."""
    waited_cores: float = 0.0
    """Threads of the sender that were ready to run and had no CPU, on average."""
    other_load_cores: float = 0.0
    """Other load: cores of this host that neither the sender nor the bench used. It is noise."""
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
    """A cell and its outcome; *why* names the part of the plan that it belongs to."""

    cell: Cell
    outcome: Outcome
    why: str
    repeat: int = 0


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that was not measured, and why."""

    cell: Cell
    reason: str
