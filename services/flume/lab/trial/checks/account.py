"""Checks of where one client's datagrams went. Pure."""

import math

from flume.lab.trial.case import Case
from flume.lab.trial.checks.finding import Finding, errs, fails, passes
from flume.lab.trial.numbering import passed_over
from flume.lab.trial.verdict import Balance

CLOCK_TOLERANCE_S = 0.001
"""A datagram may seem to arrive this much before it left: two taps of one kernel stamp with one clock, to the
microsecond, so more means that the clock was set during the run. Clocks of two hosts may differ by more, as far as the
offset between them is known."""


def clock(case: Case) -> Finding:
    """Departures and arrivals can be compared: no datagram arrives before it left, or without having left.

    ERROR: One arrived more than 1 ms too early, or on another host more than that and the bound of its clock's offset;
    the clock of a host was set; or more arrivals are unmatched than the link damaged.

    Next: Let nothing set a clock during a run. Look for other senders in the client's capture. Where the clock of a
    host was not compared, let UDP pass between that host and the server's.
    """
    if case.clocks.problem is not None:
        return errs(case.clocks.problem)
    if case.matching is None:
        return passes("one tap, one clock")
    if (unmatched := len(case.matching.unmatched)) > case.subject.counters.damaged_on_link:
        return errs(f"{unmatched} datagrams reached the client that the server's tap did not see leave")
    bound_s = case.clocks.bound_s
    if bound_s is None:
        return passes(f"delays not measured: {case.clocks.unknown}")
    delays_s = [arrival.time_s - departure.time_s for departure, arrival in case.matching.arrived]
    if delays_s and min(delays_s) < -(CLOCK_TOLERANCE_S + bound_s):
        return errs(f"a datagram arrived {-min(delays_s) * 1000:.1f} ms before it left: the taps' clocks disagree")
    longest = f"longest delay {max(delays_s) * 1000:.1f} ms" if delays_s else "nothing to compare"
    return passes("; ".join((longest, *case.clocks.in_words)))


def balance(case: Case) -> Finding:
    """Every datagram that left for this client is accounted for.

    FAIL: Datagrams are unexplained: fewer or more are accounted for than left.

    ERROR: Nothing says what arrived; the client was active when the capture ended; or the link's counter and the
    captures disagree.

    Next: Compare the client's capture with its statistics.
    """
    name = case.subject.name
    if case.balance is None:
        return errs(f"neither a capture at {name} nor its own statistics say what it received")
    if any(math.isinf(window.closed_s) for window in case.flow.windows):
        return errs(f"{name} was still active when the capture ended: interrupt it before stopping the taps")
    if case.balance.unexplained:
        b = case.balance
        where = "" if case.matching is None else f"; {len(case.matching.arrived)} of them reached its interface"
        return fails(f"{b.unexplained} of {b.sent} datagrams are unexplained (received {b.received}{where})")
    # A damaged datagram is at the client's tap, but unlike any that left.
    missing = 0 if case.matching is None else len(case.matching.missing) - len(case.matching.unmatched)
    counted = case.balance.lost_on_link + case.balance.dropped_by_backlog
    if case.matching is not None and missing != counted:
        return errs(f"{missing} datagrams are missing between the taps, the link's counter says {counted}")
    return passes(f"{case.balance.sent} sent, 0 unexplained")


def loss(case: Case) -> Finding:
    """No more datagrams were lost than allowed, beyond what link and firewall under study and the engine's host took.

    What another player leaves in its socket is its own affair: one that pauses without asking the server reads nothing.

    FAIL: More were lost.

    Next: Dropped by receiver: its host is too busy. Lost on a clean link: read its counters.
    """
    b = case.balance or Balance()
    by_link = b.lost_on_link + b.damaged_on_link + _passed_over_by_link(case) if case.expectations.link_loses else 0
    by_player = 0 if case.subject.is_flume else b.dropped_by_receiver
    by_network = by_link + b.dropped_by_firewall + b.dropped_by_backlog + by_player
    pct = 100 * max(0, case.lost - by_network) / max(1, len(case.flow.sent))
    takers = ["link", "firewall"]
    takers += ["the engine's host"] if b.dropped_by_backlog else []
    takers += [] if case.subject.is_flume else ["the player itself"]
    by = f"{', '.join(takers[:-1])} and {takers[-1]}"
    of_those = f", {by_network} of them by {by}; beyond these" if by_network else ","
    allowed_pct = case.expectations.loss_max_pct
    detail = f"{case.lost} datagrams{of_those} {pct:.3f} % (allowed: {allowed_pct:g} %)"
    return fails(detail) if pct > allowed_pct else passes(detail)


def _passed_over_by_link(case: Case) -> int:
    """Return the datagrams that the server passed over because the link carries the client's connection too slowly."""
    return passed_over(case.flow, case.lost_before) if case.subject.counters.control_until_s is not None else 0
