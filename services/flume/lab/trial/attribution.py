"""Where the frames went that were due and were not displayed. Pure.

Due is a frame that was sent whole within the client's windows. Which of them were displayed is known by the numbers in
the pictures (:mod:`flume.lab.trial.placing`); where there are none, only how many. A frame that is missing belongs to
the cause of the first of its datagrams that did not reach the player, or else to the decoder: it lacked a frame that
this one refers to, or had no time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from flume.lab.trial.card_numbers import Numbers, Place
from flume.lab.trial.case import Case
from flume.lab.trial.fates import Cause
from flume.lab.trial.frame_account import FrameAccount
from flume.lab.trial.frames import Frame
from flume.lab.trial.measures import Attribution
from flume.lab.trial.placing import Placing, place

DECODER = "decoder"


def frame_account(
    case: Case,
    frames: Sequence[Frame],
    places: Sequence[Place | None],
    numbers: Numbers | None,
    by_datagram: Mapping[int, Cause],
) -> FrameAccount:
    """Return the account of *frames*, which were sent to the client.

    *places* are theirs in the stream, and *numbers* those that they show there. *by_datagram* says what became of the
    datagrams that did not reach the player (:mod:`flume.lab.trial.fates`).
    """
    hit: dict[int, str] = {}
    for position, frame in enumerate(frames):
        struck = (by_datagram.get(id(one)) for one in frame.datagrams)
        if (cause := next((one for one in struck if one is not None), None)) is not None:
            hit[position] = cause
    placing = _placing(case, frames, places, numbers)
    if placing is not None:
        missing = [at for at, frame in enumerate(frames) if frame.is_whole and at not in placing.shown_s]
        causes = _by_frame(case, frames, missing, hit, by_datagram)
        return FrameAccount(frames, placing, hit, _attribution(causes, placing))
    displayed = case.subject.claims.frames_displayed
    if displayed is None or not case.subject.watches:
        return FrameAccount(frames, None, hit, None)
    due = sum(frame.is_whole for frame in frames)
    causes = _by_count(max(0, due - displayed), Counter(cause for at, cause in hit.items() if frames[at].is_whole))
    return FrameAccount(frames, None, hit, _attribution(causes, None))


def _placing(
    case: Case, frames: Sequence[Frame], places: Sequence[Place | None], numbers: Numbers | None
) -> Placing | None:
    """Return which frames the pictures are; None where that cannot be known."""
    if not keeps_record(case):
        return None
    shown = case.subject.claims.record.shown if case.subject.claims.record is not None else ()
    shows = [None if numbers is None else numbers.of(one) for one in places]
    if shown and any(frame.is_whole and number is None for frame, number in zip(frames, shows, strict=True)):
        return None
    return place(frames, shows, shown)


def keeps_record(case: Case) -> bool:
    """Whether the client's player names each picture: ours does where it draws into memory, and in a window not."""
    claims = case.subject.claims
    return case.subject.watches and claims.record is not None and claims.player == "headless"


def _by_frame(
    case: Case,
    frames: Sequence[Frame],
    missing: Sequence[int],
    hit: Mapping[int, str],
    by_datagram: Mapping[int, str],
) -> Counter[str]:
    causes = {at: hit.get(at, DECODER) for at in missing}
    for cause, dropped in (
        ("firewall", case.subject.counters.dropped_by_firewall),
        ("receiver", case.subject.counters.dropped_by_receiver),
    ):
        known = sum(one == cause for one in by_datagram.values())
        _name_silent(causes, frames, cause, dropped - known)
    return Counter(causes.values())


def _name_silent(causes: dict[int, str], frames: Sequence[Frame], cause: str, dropped: int) -> None:
    """Give *cause* to frames without one, for *dropped* datagrams that the kernel counted and no receiver noticed.

    A receiver that gets nothing at all notices no hole. The longest runs of missing frames are its.
    """
    runs: list[list[int]] = []
    for at in sorted(at for at, one in causes.items() if one == DECODER):
        if runs and at == runs[-1][-1] + 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    for at in (at for run in sorted(runs, key=len, reverse=True) for at in run):
        if dropped <= 0:
            return
        causes[at] = cause
        dropped -= max(1, len(frames[at].datagrams) - 1)  # the last one is the next frame's as well


def _by_count(missing: int, struck: Counter[str]) -> Counter[str]:
    """Share *missing* frames out: to the causes that struck frames, as far as they go, and the rest to the decoder."""
    hits = struck.total()
    if missing >= hits:
        return struck + Counter({DECODER: missing - hits})
    # Some frames that were struck were displayed with errors. Which, is not known: each cause gets its share.
    shares = Counter({cause: missing * count // hits for cause, count in struck.items()})
    rests = sorted(struck, key=lambda cause: (-(missing * struck[cause] % hits), cause))
    shares.update(rests[: missing - shares.total()])
    return shares


def _attribution(causes: Mapping[str, int], placing: Placing | None) -> Attribution:
    account = Attribution(missing=sum(causes.values()), by="counts")
    if placing is not None:
        account = Attribution(
            missing=account.missing, unclear=placing.unclear, extra=placing.extra, misfits=len(placing.misfits)
        )
    return msgspec.structs.replace(account, **causes)
