"""What an examination of a transport stream is told, and what it finds. Pure."""

import msgspec

INDICATORS = {
    "1.1": "TS_sync_loss",
    "1.2": "Sync_byte_error",
    "1.3.a": "PAT_error_2",
    "1.4": "Continuity_count_error",
    "1.5.a": "PMT_error_2",
    "1.6": "PID_error",
    "2.1": "Transport_error",
    "2.2": "CRC_error",
    "2.3a": "PCR_repetition_error",
    "2.3b": "PCR_discontinuity_indicator_error",
    "2.4": "PCR_accuracy_error",
    "2.5": "PTS_error",
    "2.6": "CAT_error",
}
"""Number and name (ETSI TR 101 290 V1.4.1, tables 5.0a and 5.0b). 1.3 and 1.5 are left to 1.3.a and 1.5.a, which that
document prefers, and 2.3 to its two parts 2.3a and 2.3b: each error is counted once."""


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base: read-only, built by keyword."""


class Thresholds(_Value, frozen=True, kw_only=True):
    """The limits that a stream must keep: those of TR 101 290 unless the caller gives others. All are positive.

    >>> Thresholds(pcr_interval_s=0.04).pat_s
    0.5
    """

    pat_s: float = 0.5
    """Longest time between sections of the PAT (1.3.a)."""
    pmt_s: float = 0.5
    """Longest time between sections of each PMT (1.5.a)."""
    pid_s: float = 5.0
    """Longest time in which a PID of sound or picture may be absent (1.6: the user's choice; 5 s is its advice)."""
    pcr_interval_s: float = 0.1
    """Longest time between two PCRs of a PID (2.3a). Editions before TS 101 154 of 2005 said 0.04."""
    pcr_jump_s: float = 0.1
    """Largest difference between two PCRs without a discontinuity_indicator (2.3b)."""
    pcr_accuracy_ns: float = 500.0
    """Largest deviation of a PCR from its place in a stream of constant rate (2.4)."""
    pts_s: float = 0.7
    """Longest time between two PTSs of a PID of sound or picture (2.5)."""

    def __post_init__(self) -> None:
        """Refuse a limit that is not positive: :class:`ValueError` with its name and value."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{name}={value!r} is not possible: a limit is above 0")


class StreamFinding(_Value, frozen=True, kw_only=True):
    """One error in the transport stream (ETSI TR 101 290)."""

    indicator: str
    """Its number there, such as ``1.4``."""
    name: str
    """Its name there, such as ``Continuity_count_error``."""
    time_s: float | None
    """When the packet arrived; in a file, from the stream's first packet on by its PCRs. None: there are none."""
    packet: int
    """Number of the transport packet in the stream as it arrived, counted from 0."""
    pid: int | None
    detail: str


class PidFigures(_Value, frozen=True, kw_only=True):
    """The packets of one PID."""

    pid: int
    kind: str
    """What it carries, such as ``H.264 video``, ``PAT`` or ``not referenced``."""
    packets: int
    rate_kbit: float | None
    """Mean over the stream, of whole packets. None: the stream's duration is not known."""


class ProgramFigures(_Value, frozen=True, kw_only=True):
    """One program, as the last PAT and PMT describe it."""

    number: int
    pmt_pid: int
    pcr_pid: int | None
    """None: no PMT came."""
    streams: dict[int, str]
    """PID → kind, in the order of the PMT."""


class PcrFigures(_Value, frozen=True, kw_only=True):
    """The PCRs of one PID."""

    pid: int
    count: int
    longest_ms: float | None
    """Longest time between two, without jumps of the clock. None: there were no two."""
    worst_ns: float | None
    """Largest deviation from its place in a stream of constant rate. None: the rate is not constant."""
    arrival_spread_ms: float | None
    """Between the PCR that arrived latest and the one that arrived earliest, each against the clock that PCRs
    make: the delay variation of the path, and no error. None: no arrival times."""


class StreamFigures(_Value, frozen=True, kw_only=True):
    """The transport stream as it arrived at the client's interface, or as it is in a file."""

    packets: int
    counts: dict[str, int]
    """Indicator to the number of its findings; an indicator that was examined and found nothing has 0."""
    findings: list[StreamFinding]
    """The first ones, at most 100, and of each indicator at least the first five; by packet."""
    not_examined: dict[str, str] = {}
    """Indicator to the reason why it could not be examined, in whole or in the part that the reason names."""
    duration_s: float | None = None
    """From the first packet to the last; in a file by its PCRs."""
    rate_kbit: float | None = None
    """Mean over the stream, of whole packets."""
    constant_rate: bool | None = None
    """Whether the PCRs lie on a line over the bytes. None: too few of them."""
    programs: list[ProgramFigures] = []
    pids: list[PidFigures] = []
    pcrs: list[PcrFigures] = []
