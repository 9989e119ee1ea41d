"""What became of each datagram that did not reach the player: link, queue, host, firewall, receiver, late. Pure.

Between the two taps a datagram is lost on the link, in the link's queue or in the engine's host; the captures show
which one, and the kernel's counters how many by the host. Behind the client's tap the receiver's own record says which
numbers it gave up, and which of those came too late; counters of firewall and socket say who dropped the rest.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from flume.lab.evidence.facts import MediaDatagram, PlayerRecord, Subject
from flume.lab.trial.case import Case
from flume.lab.trial.matching import Matching

Cause = Literal["link", "queue", "host", "firewall", "receiver", "late"]

NEARLY_FULL = 0.9
"""A neighbour of a lost datagram that took this share of the full queue's delay came through a queue that was full."""
_RECORD_S = 100.0
"""A number is given up within this long after it came or was due: RTP's numbers return after 163 s at 400 a second."""


def fates(case: Case) -> dict[int, Cause]:
    """Return the cause for each datagram of the client's windows that did not reach its player, by the datagram's id().

    Without a capture at the client nothing is known.
    """
    if case.matching is None:
        return {}
    return {**_on_the_way(case), **_behind_the_tap(case)}


def _on_the_way(case: Case) -> dict[int, Cause]:
    matching = case.matching
    if matching is None or not matching.missing:
        return {}
    arrived_s = {id(departure): arrival.time_s for departure, arrival in matching.arrived}
    missing = {id(one) for one in matching.missing}
    subject, found = case.subject, dict[int, Cause]()
    delay_s: float | None = None
    gone: list[MediaDatagram] = []
    for one in case.flow.sent:
        if id(one) in missing:
            gone.append(one)
            continue
        before_s, delay_s = delay_s, arrived_s[id(one)] - one.time_s
        found |= _of_run(gone, subject, max(delay_s, delay_s if before_s is None else before_s))
        gone = []
    found |= _of_run(gone, subject, delay_s or 0.0)
    dropped = 0 if case.balance is None else case.balance.dropped_by_backlog
    return {**found, **dict.fromkeys(_of_host(case.flow.sent, missing, dropped), "host")}


def _of_run(gone: Sequence[MediaDatagram], subject: Subject, delay_s: float) -> dict[int, Cause]:
    """Return the cause of datagrams lost in a row; *delay_s* is the longer one of those that arrived beside them."""
    found: dict[int, Cause] = {}
    for one in gone:
        full_ms = subject.full_queue_ms(one.time_s)
        is_full = full_ms is not None and 1000 * delay_s >= NEARLY_FULL * full_ms
        found[id(one)] = "queue" if is_full else "link"
    return found


def _of_host(sent: Sequence[MediaDatagram], missing: set[int], dropped: int) -> list[int]:
    """Return *dropped* of the *missing*: those of the longest runs, because a full queue drops in a row."""
    runs: list[list[int]] = []
    for before, one in pairwise([None, *sent]):
        if one is None or id(one) not in missing:
            continue
        if before is not None and id(before) in missing:
            runs[-1].append(id(one))
        else:
            runs.append([id(one)])
    return [one for run in sorted(runs, key=len, reverse=True) for one in run][:dropped]


def _behind_the_tap(case: Case) -> dict[int, Cause]:
    record, counters = case.subject.claims.record, case.subject.counters
    if record is None or case.matching is None:
        return {}
    dropper: Cause = "firewall" if counters.dropped_by_firewall >= counters.dropped_by_receiver else "receiver"
    kept = kept_from_player(case.matching, record)
    return {one: "late" if is_late else dropper for one, is_late in kept.items()}


def kept_from_player(matching: Matching, record: PlayerRecord) -> dict[int, bool]:
    """Return which departures arrived at the client's interface and never reached its player, by the departure's id().

    The value is whether the datagram came too late for the jitter buffer; otherwise it was dropped on the way from the
    interface to the program.
    """
    given_up, late = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    for time_s, first, last in record.given_up:
        for step in range((last - first) % (1 << 16) + 1):
            given_up[(first + step) % (1 << 16)].append(time_s)
    for time_s, number in record.late:
        late[number].append(time_s)
    found: dict[int, bool] = {}
    for departure, _ in matching.arrived:
        if departure.sequence is None:
            continue
        if _is_soon_after(late.get(departure.sequence, ()), departure.time_s):
            found[id(departure)] = True
        elif _is_soon_after(given_up.get(departure.sequence, ()), departure.time_s):
            found[id(departure)] = False
    return found


def _is_soon_after(times_s: Sequence[float], time_s: float) -> bool:
    """Whether one of *times_s*, which rise, is at most :data:`_RECORD_S` after *time_s*."""
    at = bisect_left(times_s, time_s)
    return at < len(times_s) and times_s[at] - time_s <= _RECORD_S
