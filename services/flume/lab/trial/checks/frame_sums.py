"""The check of the frames' account: one that does not add up explains nothing. Pure."""

from collections.abc import Iterator
from itertools import groupby

from flume.lab.trial.case import Case
from flume.lab.trial.checks.finding import Finding, errs, passes
from flume.lab.trial.damage import unexplained
from flume.lab.trial.frame_account import FrameAccount
from flume.lab.trial.measures import Attribution
from flume.lab.trial.numbering import frames_begun

CAUSES = ("upstream", "link", "queue", "host", "firewall", "receiver", "late", "decoder")
"""Fields of :class:`~flume.lab.trial.measures.Attribution` that add up to ``missing``."""


def attribution(case: Case) -> Finding | None:
    """Each video frame that was due and not displayed has one cause. Asked of clients whose player was to display.

    ERROR: The causes do not add up to the frames due less those displayed, by the numbers in the pictures; the player's
    record contradicts its count, or names a picture that was not due then and is not damaged; or a cause is named of
    which no counter knows.

    Next: Compare the figures in the detail with the player's log; the account rests on its record of pictures.
    """
    account = case.account
    if account is None or account.attribution is None or not account.frames:
        return None
    found = account.attribution
    if problems := [*_sums(case, account, found), *_record(case, account, found), *_causes(case, found)]:
        return errs("; ".join(problems))
    parts = ", ".join(f"{getattr(found, cause)} {cause}" for cause in CAUSES if getattr(found, cause))
    how = "" if found.by == "numbers" else "; the pictures show no number that tells them apart, so frames are counted"
    return passes(f"{found.missing} of {account.due} due missing{f': {parts}' if parts else ''}{how}")


def _sums(case: Case, account: FrameAccount, found: Attribution) -> Iterator[str]:
    total = sum(getattr(found, cause) for cause in CAUSES)
    if total != found.missing:
        yield f"the causes add up to {total} frames, {found.missing} are missing"
    # These two hold by the way in which the account is made: they find a slip in it, and no wrong placing.
    due = frames_begun(case.whole_flow).due
    record = case.subject.claims.record
    if found.by != "numbers" or record is None:
        return
    frames = len(record.shown) - found.extra
    if (displayed := frames - account.shown_cut) != due - total:
        yield f"{due} frames were due and {displayed} pictures displayed of them, the causes explain {total}"
    numbers = [one.number for one in record.shown if one.number is not None]
    least, most = len(set(numbers)) - found.misfits, len(list(groupby(numbers))) + found.unclear
    if not least <= frames <= most:
        yield f"{frames} pictures are frames, and the numbers in them say {least} to {most}"


def _record(case: Case, account: FrameAccount, found: Attribution) -> Iterator[str]:
    claims = case.subject.claims
    if claims.record is None or found.by != "numbers":
        return
    shown, counted = len(claims.record.shown), claims.frames_displayed
    if counted is not None and shown < counted:
        yield f"the player counts {counted} pictures and its record has {shown}"
    # The number in a damaged picture may be another one's. A frame that was sent when nothing was allowed is no part of
    # the account, and the promise's affair.
    if account.placing is None or case.flow.leaked:
        return
    if wrong := unexplained(account.frames, account.placing, account.hit):
        first = f"the first one, at {wrong[0].time_s - case.started_s:.3f} s, shows {wrong[0].number}"
        yield f"{len(wrong)} pictures show numbers of frames that were not due then, and no damage explains it: {first}"


def _causes(case: Case, found: Attribution) -> Iterator[str]:
    balance = case.balance
    if balance is None or balance.unexplained:
        return  # the balance says so
    known = {
        "upstream": 0 if case.upstream is None else len(case.upstream.lost),
        "link": balance.lost_on_link + balance.damaged_on_link,
        "queue": balance.lost_on_link,
        "host": balance.dropped_by_backlog,
        "firewall": balance.dropped_by_firewall,
        "receiver": balance.dropped_by_receiver,
    }
    for cause, datagrams in known.items():
        frames = getattr(found, cause)
        if frames and not datagrams:
            yield f"{frames} frames are missing by the {cause}, which dropped no datagram"
