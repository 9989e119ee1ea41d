"""Checks of the run as a whole: its captures, its links, its addresses. Pure."""

from collections.abc import Sequence

from flume.lab.evidence.facts import Backlog, TapFacts
from flume.lab.trial.backlog import astray
from flume.lab.trial.case import Case, active_s
from flume.lab.trial.checks.finding import Finding, errs, fails, passes

STEPS_LATE_MAX = 0.1
"""Share of a link's timed steps that may come later than they last. Beyond it the link is not what its profile says."""

_BACKLOG_FACTOR, _BACKLOG_MIN = 16, 16_000
"""How long a queue is advised, in packets: Linux has 1000 by default. It takes memory only while it is full."""

SILENCE_S = 2.0
"""An active window of this length without one datagram is a failure; a stopped ingest needs up to 1.3 s to start."""


def capture(facts: TapFacts, headless: int = 0) -> Finding:
    """The capture holds every packet that passed its interface.

    ERROR: The file is missing, empty or cut off; packets were dropped or shortened; tcpdump was not closed cleanly;
    control bytes are missing; the clock was set; or IP fragments left the server without their first one, which
    alone names ports.

    Next: Dropped packets: use a less busy host. Damaged file: make room on the disk. Run again, and let
    nothing set the clock meanwhile.
    """
    tap = facts.tap
    if tap.problem:
        return errs(tap.problem)
    if headless:
        return errs(f"{headless} packets left in IP fragments without the first one: whose they are is not known")
    return passes(f"{tap.packets} packets, none dropped, file whole, closed cleanly")


def link(direction: str, profile: str, deviations: Sequence[str], first: Sequence[str] = ()) -> Finding:
    """This direction of the client's link does what its profile says.

    ERROR: What the lab measured before the run is out of the profile's tolerance, twice. A link that was out of it the
    first time only is named here: the computer was busy.

    Next: Compare the network figures in the report. Run again on a less busy host.
    """
    if deviations:
        return errs(f"{direction}, {profile}: {'; '.join(deviations)}")
    before = f"; only the second measurement shows it, the first was: {'; '.join(first)}" if first else ""
    return passes(f"{direction}, {profile}: as it was set{before}")


def steps(profile: str, due: int, late: int, in_words: str) -> Finding:
    """The link of the client changed at the moments that its profile names.

    ERROR: More than a tenth of its steps came later than they last, or were left out.

    Next: Run again on a less busy host, or with fewer clients.
    """
    return (errs if late > STEPS_LATE_MAX * due else passes)(f"{profile}: {in_words}")


def host(name: str, reason: str) -> Finding:
    """The host of the client was there until its captures had been fetched.

    ERROR: Its engine answered no more. What left for the client is judged by the server's capture; what reached it is
    not known. A report shows this check only when it is ERROR.

    Next: Bring the host back, and run again. ``make down`` removes what it still has of the lab.
    """
    return errs(f"its host {name} was lost during the run: {reason}")


def backlog(queues: Backlog, cases: Sequence[Case]) -> Finding:
    """The Docker engine's host lost no datagram between two of its own interfaces.

    ERROR: Its kernel dropped packets because the queue of a CPU was full, and datagrams that no link lost are missing
    between the captures.

    Next: Make the queue longer there, by the command in the detail, or use fewer clients. Run again.
    """
    missing = sum(case.balance.dropped_by_backlog + astray(case) for case in cases if case.balance is not None)
    dropped = f"the engine's host dropped {queues.dropped} packets between its interfaces"
    if not queues.dropped or not missing:
        return passes(f"{dropped}, no datagram of the stream among them" if queues.dropped else f"{dropped}")
    size = max(_BACKLOG_MIN, _BACKLOG_FACTOR * queues.limit)
    held = f", which holds {queues.limit} packets," if queues.limit else ""
    return errs(
        f"{dropped}, and {missing} datagrams are missing: the queue of a CPU{held} was full. "
        f"Fix: sudo sysctl -w net.core.netdev_max_backlog={size}"
    )


def subjects(addresses: Sequence[str]) -> Finding | None:
    """Each client has an address of its own. A report shows this check only when it is ERROR.

    ERROR: There is no client, or two clients share an address.

    Next: Correct the topology.
    """
    if addresses and len(set(addresses)) == len(addresses):
        return None
    return errs(f"one address a client is needed to tell them apart; given: {', '.join(addresses) or 'no clients'}")


def strangers(addresses: Sequence[str], server: TapFacts) -> Finding:
    """The server sends datagrams to the clients of this run only.

    FAIL: Datagrams left for another address.

    Next: Look in the server's capture for that address, and for its commands.
    """
    unknown = sorted({datagram.destination[0] for datagram in server.media} - set(addresses))
    return fails(f"datagrams left for {', '.join(unknown)}, which no client has") if unknown else passes("none")


def evidence(cases: Sequence[Case], server: TapFacts) -> Finding:
    """There was something to judge: windows and datagrams at the server's interface.

    ERROR: No window opened; or no datagram left, and every window was shorter than 2 s.

    Next: Read the logs: did the source start, did a client connect?
    """
    windows = [window for case in cases for window in case.flow.windows]
    silent = any(active_s(window, server) >= SILENCE_S for window in windows)
    # A long window without a datagram is the product's failure: "reception" reports it. A short one proves nothing.
    seen = f"{len(server.media)} datagrams and {len(windows)} active windows at the server's interface"
    return passes(seen) if windows and (silent or server.media) else errs(seen)
