"""Checks of relays: what they pass on, when they receive, and whether it is known which client is whose. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from flume.lab.trial.case import Case
from flume.lab.trial.checks.finding import Finding, errs, fails, passes

IDLE_S = 5.0
"""A relay may receive for so long before and behind the windows of its own clients. It stops 2 s after the last one, as
any live source does; the rest is for a busy host."""


def hops(problems: Sequence[str]) -> Finding:
    """Each client belongs to one server, and each relay has a capture that shows both of its sides.

    ERROR: A relay is no client of another server, or of two; its capture as a client is another than as a server; two
    clients or two captures have one name; or a client spoke with a server that it does not belong to.

    Next: Correct which clients belong to which server, then run again.
    """
    return errs("; ".join(problems)) if problems else passes("each client has one server")


def relayed(case: Case) -> Finding | None:
    """What reached the relay within this client's windows, it passed on; and it sent nothing else.

    FAIL: Datagrams that reached the relay's interface did not leave for the client, while those before and behind did.
    More than the relay's kernel and firewall dropped, and than came too late for it.

    ERROR: Datagrams left that the relay had not been sent: it changes them, or another capture is missing.

    Next: Look at the relay's log and counters at the first of them.
    """
    found = case.upstream
    if found is None:
        return None
    lost = len(found.lost)
    if found.strange:
        return errs(f"{found.strange} of {len(case.flow.active)} datagrams had not been sent to {found.relay} before")
    if found.kept > found.excused:
        first = f"the first at {found.lost[0].time_s - case.started_s:.3f} s"
        return fails(
            f"{found.relay} kept {found.kept} datagrams that had reached it ({found.excused} excused), {first}"
        )
    return passes(f"{found.relay} passed on all that it had; {lost} datagrams were lost before it")


def demand(case: Case) -> Finding | None:
    """A relay is sent the stream only while a client of its own is active, or was shortly before.

    FAIL: Datagrams left for it more than 5 s before or behind every window of its clients.

    Next: Look at the relay's log: did it interrupt when its last client did?
    """
    if case.viewers is None:
        return None
    if case.clocks.unknown is not None and case.clocks.most_apart_s == 0:
        return passes(f"times were not compared: {case.clocks.unknown}")
    idle_s = IDLE_S + case.clocks.most_apart_s  # the windows are of another host's capture than the departures
    spans = list(_joined((one.opened_s - idle_s, one.limit_s + idle_s) for one in case.viewers))
    idle = [one for one in case.flow.sent if not any(from_s <= one.time_s <= to_s for from_s, to_s in spans)]
    if idle:
        when = f"the first at {idle[0].time_s - case.started_s:.3f} s"
        return fails(f"{len(idle)} datagrams left for it while no client of its own was active, {when}")
    return passes(f"{len(case.flow.sent)} datagrams left for it, all while it had an active client")


def _joined(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield *spans* in the order of time, those that overlap as one.

    >>> list(_joined([(5, 9), (1, 2), (8, 12)]))
    [(1, 2), (5, 12)]
    """
    last: tuple[float, float] | None = None
    for span in sorted(spans):
        if last is not None and span[0] <= last[1]:
            last = last[0], max(last[1], span[1])
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last
