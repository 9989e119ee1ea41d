"""Finds the datagrams that the engine's own kernel dropped between two interfaces. Pure.

The kernel counts the packets for which its queue between interfaces had no room, of the whole host together. Which
datagrams they were, the captures show: they left the server and reached no client, and no link counts them.
"""

from collections.abc import Sequence

import msgspec

from flume.lab.evidence.facts import Backlog
from flume.lab.trial.case import Case


def astray(case: Case) -> int:
    """Return how many datagrams are missing between the two captures of a client and are not lost on its link."""
    if case.matching is None or case.balance is None:
        return 0
    # A damaged datagram is at the client's tap, but unlike any that left.
    missing = len(case.matching.missing) - len(case.matching.unmatched)
    return max(0, min(missing - case.balance.lost_on_link, case.balance.unexplained))


def explained(cases: Sequence[Case], backlog: Backlog | None) -> tuple[Case, ...]:
    """Return *cases* with the datagrams in their accounts that the kernel dropped.

    Where more are missing than the kernel dropped, none is explained: nothing says which ones they were.
    """
    if backlog is None or sum(map(astray, cases)) > backlog.dropped:
        return tuple(cases)
    return tuple(map(_explained, cases))


def _explained(case: Case) -> Case:
    dropped, account = astray(case), case.balance
    if account is None or not dropped:
        return case
    left = account.unexplained - dropped
    return case._replace(balance=msgspec.structs.replace(account, dropped_by_backlog=dropped, unexplained=left))
