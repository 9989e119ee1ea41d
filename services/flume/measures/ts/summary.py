"""The figures of a stream, and what could not be examined in it. Pure."""

from collections.abc import Collection, Mapping, Sequence

from flume.measures.ts import tables
from flume.measures.ts.continuity import PACKET_BYTES
from flume.measures.ts.pcr import PcrWatch
from flume.measures.ts.programs import Programs
from flume.measures.ts.values import PidFigures, Thresholds

_NO_TIME = "neither PCRs nor arrival times tell the time"


def pid_figures(
    counts: Sequence[int], programs: Programs, pcrs: PcrWatch, span: tuple[int, float] | None, packets: int
) -> list[PidFigures]:
    """Return a row for each PID that has packets; *counts* are those by PID, of *packets* in all."""
    rows = []
    for pid, count in enumerate(counts):
        if not count:
            continue
        # The span may end before the stream: the PID is taken to have had its share there too.
        rate = None if span is None else count / packets * span[0] * PACKET_BYTES * 8 / span[1] / 1000
        rows.append(PidFigures(pid=pid, kind=_kind(pid, programs, pcrs), packets=count, rate_kbit=rate))
    return rows


def _kind(pid: int, programs: Programs, pcrs: PcrWatch) -> str:
    if pid in tables.FIXED_PIDS:
        return tables.FIXED_PIDS[pid]
    if pid == tables.NULL_PID:
        return "null packets"
    if pid in programs.pmt_pids:
        return "PMT"
    if pid in programs.kinds:
        return programs.kinds[pid]
    return "PCR" if pid in programs.pcr_pids or pcrs.has(pid) else "not referenced"


def reasons(
    programs: Programs, pcrs: PcrWatch, limits: Thresholds, duration_s: float | None, scrambled: Collection[int]
) -> Mapping[str, str]:
    """Return the indicators that could not be examined, or not wholly, each with its reason."""
    why: dict[str, str] = {}
    no_time = _NO_TIME if duration_s is None else None
    if no_time:
        why["1.3.a"] = f"only table_id and scrambling: {no_time}"
    if not programs.pmt_pids:
        why["1.5.a"] = "no PAT names a PMT"
    elif no_time:
        why["1.5.a"] = f"only scrambling: {no_time}"
    why |= _of_streams(programs, limits, duration_s, scrambled)
    if not programs.checked_sections:
        why["2.2"] = "no section with a CRC was complete"
    if not pcrs.compared:
        why["2.3a"] = why["2.3b"] = "no PID has two PCRs one after the other"
    constant = pcrs.constant()
    if constant is not True:
        why["2.4"] = "there are too few PCRs" if constant is None else "the rate is not constant"
    return why


def examined(indicator: str, why: Mapping[str, str]) -> bool:
    """Return whether *indicator* was examined, at least in part.

    >>> examined("1.3.a", {"1.3.a": "only table_id and scrambling: …"}), examined("2.4", {"2.4": "the rate varies"})
    (True, False)
    """
    return why.get(indicator, "only").startswith(("only", "not of"))


def _of_streams(
    programs: Programs, limits: Thresholds, duration_s: float | None, scrambled: Collection[int]
) -> Mapping[str, str]:
    """Return the same of the indicators that examine sound and picture."""
    why: dict[str, str] = {}
    if not programs.referenced:
        why["1.6"] = why["2.5"] = "no PMT names sound or picture"
    elif duration_s is None:
        why["1.6"] = why["2.5"] = _NO_TIME
    else:
        if duration_s <= limits.pid_s:
            why["1.6"] = f"the stream lasts {duration_s:.1f} s, no longer than {limits.pid_s:g} s of absence"
        hidden = sorted(set(scrambled) & set(programs.referenced))
        if hidden:
            why["2.5"] = f"not of PID {', '.join(f'{pid:#x}' for pid in hidden)}: scrambled"
    return why
