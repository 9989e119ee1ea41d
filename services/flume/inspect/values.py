"""What an inspection finds. Values only: their JSON is the published schema, ``docs/inspect.schema.json``."""

import msgspec

from flume.measures.ts.values import StreamFigures

UNKNOWN = "unknown"
"""The kind of an input that cannot be read."""
MOST_FINDINGS = 100
"""Of one stream so many findings are kept; the counts go on."""


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base: read-only, built by keyword."""


class WireFinding(_Value, frozen=True, kw_only=True):
    """Something wrong in the numbers of RTP, at the packet that shows it."""

    kind: str
    """``loss``, ``duplicate``, ``reordered`` or ``jump``."""
    packet: int
    """Number of the frame in the capture, counted from 1 as Wireshark does; live: of the datagram of this address."""
    time_s: float
    """Since the first packet of the source."""
    detail: str


class ArrivalFigures(_Value, frozen=True, kw_only=True):
    """The datagrams of one stream as they arrived."""

    datagrams: int
    bytes: int
    """Of UDP payloads."""
    duration_s: float
    """From the first datagram to the last."""
    rate_kbit: float | None
    """Mean, of UDP payloads. None: the datagrams came at one time."""
    peak_kbit: float
    """The highest rate over 100 ms."""
    longest_silence_ms: float
    """Between two datagrams."""
    delay_factor_ms: float | None
    """The greatest delay factor of a second (RFC 4445), at that second's mean rate. None: no media packets."""
    media_loss_rate: float | None
    """The greatest number of media packets lost or late in a second (RFC 4445). None: nothing numbers them."""


class RtpFigures(_Value, frozen=True, kw_only=True):
    """What the numbers and time stamps of RTP say."""

    expected: int
    received: int
    """Of the expected ones, each once."""
    lost: int
    loss_pct: float
    duplicates: int
    reordered: int
    """Arrived behind a datagram with a higher number (RFC 4737)."""
    jumps: int
    """How often the numbers went on at another place, as they do behind a sender that was started again."""
    strays: int
    """Single datagrams with a number far from all others; they are in no other count."""
    loss_runs: dict[int, int]
    """Length of a run of missing datagrams to how often it occurred."""
    longest_run: int
    burst_pct: float | None
    """Share of datagrams in bursts that were lost (RFC 3611, Gmin 16). None: there was no burst."""
    burst_mean: float | None
    """Mean length of a burst in datagrams (RFC 3611)."""
    gap_mean: float | None
    """Mean length of a gap between bursts in datagrams (RFC 3611)."""
    jitter_ms: float | None
    """Interarrival jitter at the end (RFC 3550, 6.4.1). None: the clock of this payload type is not known."""
    jitter_most_ms: float | None
    findings: list[WireFinding]
    """The first ones, at most 100."""


class Stream(_Value, frozen=True, kw_only=True):
    """One stream: the datagrams between two ends with one SSRC, or a file of transport packets."""

    number: int
    transport: str
    """``rtp``, ``udp`` or ``file``."""
    source: str | None = None
    """Address and port; None: of a file."""
    destination: str | None = None
    ssrc: str | None = None
    """Of RTP, hexadecimal."""
    payload_type: int | None = None
    first_packet: int | None = None
    """Number of its first frame in the capture, counted from 1."""
    packet_bytes: int | None = None
    """Of a file: 188, 192 or 204."""
    arrival: ArrivalFigures | None = None
    rtp: RtpFigures | None = None
    ts: StreamFigures | None = None
    """None: it carries no MPEG-TS."""


class ThresholdResult(_Value, frozen=True, kw_only=True):
    """What became of one threshold of the caller."""

    threshold: str
    """As it was given."""
    passed_by: dict[int, float]
    """Number of each stream that passed it, and its value."""
    judged: int
    """How many streams have this measure; 0: nothing could be said, which is status 3."""


class Inspection(_Value, frozen=True, kw_only=True):
    """All that was found in one source."""

    input: str
    """The file or address, as it was given."""
    kind: str
    """``pcap``, ``pcapng``, ``ts`` or ``live``; ``unknown`` where it could not be read."""
    version: int = 1
    """Of this schema."""
    started: str | None = None
    """Time of the first packet (ISO 8601, UTC); None: a file of transport packets has none."""
    duration_s: float = 0.0
    packets: int = 0
    """Frames of the capture, datagrams of the address, or transport packets of the file."""
    others: dict[str, int] = {}
    """What belongs to no stream: kind to the number of packets."""
    problems: list[str] = []
    """Why the answer is not whole, in one line each. Figures are of what could be read."""
    falsified: bool = False
    """Whether a problem may make figures wrong, and not only says that the input ends early: where frames could not be
    read, nothing need be lost. No threshold is passed for certain then."""
    streams: list[Stream] = []
    thresholds: list[ThresholdResult] = []
