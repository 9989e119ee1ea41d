"""What the judge rests on: facts decoded from captures, counters of the kernel, and claims of the programs.

Values only. Facts come from :mod:`flume.lab.evidence.capture`; counters and claims from the runner. All times are epoch
seconds of the capturing machine's clock; a *tap* is one tcpdump at one interface.
"""

from typing import NamedTuple

import msgspec

from flume.errors import EvidenceError
from flume.settings import check

Address = tuple[str, int]
"""IP address as text, and port."""

END_GRACE_S = 2.0
"""After the *client's* FIN or RST has arrived, the server may need this long to notice: the one end of a window that
no acknowledgement marks. It takes 5 ms at rest; a server among busy loops on two cores answered commands after up to
0.66 s. Far below the 7 s that a host which vanishes without a FIN is streamed to."""


class Tap(NamedTuple):
    """One capture file and how far it can be trusted."""

    name: str
    interface: str
    path: str
    packets: int
    dropped_by_kernel: int
    """tcpdump's own count: packets that it should have seen and did not."""
    snaplen: int
    first_s: float
    last_s: float
    problem: str | None
    """Why no verdict may rest on this tap, in one line; None when it is sound."""


class MediaDatagram(NamedTuple):
    """One datagram of the stream, as it passed the tap. A segmentation batch has been cut into its datagrams.

    A packet in a frame on the control connection (RFC 4571) counts as one, at the time of the segment that completed
    it, when that was first seen.
    """

    time_s: float
    source: Address
    destination: Address
    identity: bytes
    """Digest of the payload: the same datagram at another tap has the same identity."""
    sequence: int | None
    """RTP's 16-bit number; None for plain transport packets and for anything else."""
    ssrc: int | None
    bytes: int
    video_frames_started: int
    offset: int | None = None
    """Over TCP: its place in the server's bytes of the connection. None: over UDP."""
    is_entry: bool = False
    """Whether it begins with a PAT, as every datagram does with which a player may begin."""


class ControlStart(NamedTuple):
    """A control connection begins: the SYN."""

    time_s: float
    client: Address


class ControlLine(NamedTuple):
    """One complete control line, at the time of the packet that completed it (its first transmission)."""

    time_s: float
    client: Address
    to_server: bool
    message: dict[str, object] | None
    """The JSON object; None when the line is not one."""
    raw: bytes
    offset: int = 0
    """Of a line of the server: its place in the server's bytes of the connection."""


class ControlEnd(NamedTuple):
    """The first FIN or RST of a control connection."""

    time_s: float
    client: Address
    by_server: bool


class Consent(NamedTuple):
    """A datagram to the server's media port: the token, if it is the right one."""

    time_s: float
    client: Address
    payload: bytes


class Refusal(NamedTuple):
    """ICMP port unreachable from a client: nothing listens on *media* any more."""

    time_s: float
    media: Address


class TapFacts(NamedTuple):
    """Everything one tap saw, in the order of time."""

    tap: Tap
    media: tuple[MediaDatagram, ...] = ()
    starts: tuple[ControlStart, ...] = ()
    lines: tuple[ControlLine, ...] = ()
    ends: tuple[ControlEnd, ...] = ()
    consents: tuple[Consent, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    sources: frozenset[str] = frozenset()
    """IP addresses from which this tap saw at least one packet."""
    batches: int = 0
    """Captured frames that held several datagrams, because segmentation offload was on at the interface."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says about itself. None: it does not say."""

    datagrams: int | None = None
    """Received from the socket, duplicates included."""
    duplicates: int = 0
    frames_displayed: int | None = None
    join_ms: float | None = None
    player: str = "none"


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Kernel counters for the media towards one subject, over the run."""

    lost_on_link: int = 0
    """Of the shaped link: the drops of its qdisc."""
    damaged_on_link: int = 0
    """Arrived with a wrong checksum, and so were dropped by the client's kernel."""
    dropped_by_firewall: int = 0
    dropped_by_receiver: int = 0
    """Of the receiving socket: its buffer was full."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One client host. *tap* names the capture at its own interface; None: there is only the server's."""

    name: str
    address: str
    tap: str | None = None
    commands: tuple[str, ...] | None = None
    """The commands it was told to send, in order; None: not planned, so not compared."""
    watches: bool = True
    """Whether it was started with a player; one without counts datagrams alone."""
    claims: Claims = Claims()
    counters: Counters = Counters()


class Expectations(msgspec.Struct, frozen=True, kw_only=True):
    """What the run has to reach, beside the promises that always hold."""

    loss_max_pct: float = 0.0
    """Beyond what a firewall under study takes, and a link that is to lose; their own counters prove how much."""
    link_loses: bool = False
    """The links are shaped to lose datagrams; how many is measured by the lab beforehand."""
    frames_min_pct: float | None = 99.0
    """Frames displayed of those due; None: nobody watches."""
    join_max_ms: float | None = None

    def __post_init__(self) -> None:
        """Check every range."""
        check(0 <= self.loss_max_pct <= 100, "loss_max_pct", self.loss_max_pct, "0 to 100 per cent")
        pct = self.frames_min_pct
        check(pct is None or 0 <= pct <= 100, "frames_min_pct", pct, "0 to 100 per cent")
        check(self.join_max_ms is None or self.join_max_ms > 0, "join_max_ms", self.join_max_ms, "above 0 ms")


class Evidence(NamedTuple):
    """All that one verdict rests on. Times in the report are relative to *started_s*."""

    started_s: float
    server_tap: str
    taps: tuple[TapFacts, ...]
    subjects: tuple[Subject, ...]
    expectations: Expectations = Expectations()

    def facts(self, tap: str) -> TapFacts:
        """Return what *tap* saw, or raise :class:`EvidenceError` when there is no such tap."""
        for facts in self.taps:
            if facts.tap.name == tap:
                return facts
        raise EvidenceError(f"no capture named {tap!r}: there are {', '.join(f.tap.name for f in self.taps) or 'none'}")
