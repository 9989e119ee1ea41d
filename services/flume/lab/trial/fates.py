"""What became of each datagram that did not reach the player: link, queue, host, firewall, receiver, late. Pure.

Between the two taps a datagram is lost on the link, in the link's queue or in the engine's host; the captures show
which one, and the kernel's counters how many by the host. Behind the client's tap the receiver's own record says which
numbers it gave up, and which of those came too late; counters of firewall and socket say who dropped the rest.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Literal

from flume.lab.evidence.facts import MediaDatagram, PlayerRecord, Subject
from flume.lab.trial.case import Case
from flume.lab.trial.matching import Matching

Cause = Literal["upstream", "link", "queue", "host", "firewall", "receiver", "late"]

NEARLY_FULL = 0.9
"""A neighbour of a lost datagram that took this share of the full queue's delay came through a queue that was full."""
_RECORD_S = 100.0
"""A number is given up within this long after it left."""
_NUMBERS = 1 << 16
"""RTP's numbers return after so many (RFC 3550): after 163 s at 400 a second."""


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
    """Return the causes that the client's record names, each for no more datagrams than its counter knows of.

    The record is a claim. What goes beyond the counters has no cause.
    """
    claims, counters = case.subject.claims, case.subject.counters
    if claims.record is None or case.matching is None:
        return {}
    kept = kept_from_player(case.matching, claims.record)
    late = [one for one, is_late in kept.items() if is_late]
    most_late = len(late) if claims.late is None else max(0, claims.late)
    found: dict[int, Cause] = dict.fromkeys(late[:most_late], "late")
    dropped = iter([one for one, is_late in kept.items() if not is_late])
    droppers: list[tuple[int, Cause]] = [
        (counters.dropped_by_firewall, "firewall"),
        (counters.dropped_by_receiver, "receiver"),
    ]
    for count, cause in sorted(droppers, key=lambda one: -one[0]):
        found |= dict.fromkeys(islice(dropped, count), cause)
    return found


def kept_from_player(matching: Matching, record: PlayerRecord) -> dict[int, bool]:
    """Return which departures arrived at the client's interface and never reached its player, by the departure's id().

    They are in the order in which they left. The value is whether the datagram came too late for the jitter buffer;
    otherwise it was dropped on the way from the interface to the program.

    A number returns, after 65,536 datagrams or in a new session. The record means the latest departure with it.
    """
    if not record.given_up and not record.late:
        return {}
    arrived = {id(departure) for departure, _ in matching.arrived}
    sent = sorted(
        (*(departure for departure, _ in matching.arrived), *matching.missing),
        key=lambda one: one.time_s,
    )
    found: dict[int, bool] = {}
    for is_late, ranges in (
        (False, [(one.time_s, one.first, one.last) for one in record.given_up]),
        (True, [(one.time_s, one.number, one.number) for one in record.late]),
    ):
        found |= {id(one): is_late for one in _latest(sent, ranges) if id(one) in arrived}
    return {id(one): found[id(one)] for one in sent if id(one) in found}


def _latest(sent: Sequence[MediaDatagram], ranges: Sequence[tuple[float, int, int]]) -> Iterator[MediaDatagram]:
    """Yield of *sent*, in the order of time, for each number in *ranges* the latest one with it at the range's time.

    A range is time, first and last number. Each departure is yielded once. So the time that this takes does not grow
    with the size of the ranges, which a client may claim as it likes.
    """
    latest: dict[int, MediaDatagram] = {}
    has_one = bytearray(_NUMBERS)
    departures = iter(sent)
    departure = next(departures, None)
    for time_s, first, last in sorted(ranges):
        while departure is not None and departure.time_s <= time_s:
            if departure.sequence is not None:
                latest[departure.sequence], has_one[departure.sequence] = departure, 1
            departure = next(departures, None)
        for begin, end in ((first, last),) if first <= last else ((first, _NUMBERS - 1), (0, last)):
            at = has_one.find(1, begin, end + 1)
            while at >= 0:
                has_one[at] = 0
                if time_s - latest[at].time_s <= _RECORD_S:
                    yield latest[at]
                at = has_one.find(1, at + 1, end + 1)
