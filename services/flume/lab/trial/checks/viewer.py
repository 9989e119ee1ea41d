"""Checks of what the viewer saw. They rest on the client's claims: only its player knows what it displayed. Pure."""

from collections.abc import Mapping

from flume.lab.evidence.bound import Bound
from flume.lab.trial.case import Case
from flume.lab.trial.checks import players
from flume.lab.trial.checks.finding import Finding, errs, fails, passes
from flume.lab.trial.figures import FIGURES, OF_A_PLAYER
from flume.lab.trial.numbering import frames_begun
from flume.lab.trial.verdict import ClientReport


def frames(case: Case) -> Finding | None:
    """The client displayed the video frames that arrived in full. Asked only of clients with a player.

    Of another player only one frame is asked, in a window of 8 s: at each stop it throws away what it has read ahead.

    FAIL: It displayed too few of them.

    ERROR: It does not say how many, or claims more than were sent; or no video frame was sent.

    Next: A busy host displays less: use fewer players, or a smaller ``--frames-min``.
    """
    least_pct = case.expectations.frames_min_pct
    if _watched(case) and not case.subject.is_flume:
        return players.frames(case)
    if least_pct is None or not _watched(case):
        return None
    due, cut = frames_begun(case.whole_flow, case.never_came)
    shown = case.subject.claims.frames_displayed
    if shown is None:
        return errs("the client does not say how many frames it displayed")
    if due + cut == 0:
        return errs("no video frame was found in what was sent: is there a video in it?")
    if shown > (begun := sum(datagram.video_frames_started for datagram in case.flow.sent)):
        return errs(f"claims {shown} frames displayed where {begun} were ever sent: its count is wrong")
    extra = f" and up to {cut} that a window's end or a loss cut" if shown > due else ""
    pct = min(100.0, 100 * shown / due) if due else 100.0
    detail = f"{shown} displayed of {due} due{extra}, {pct:.1f} % (least {least_pct:g} %)"
    return fails(detail) if pct < least_pct else passes(detail)


def join(case: Case) -> Finding | None:
    """The first frame was displayed in time. Asked only where the run sets a limit.

    FAIL: It came too late, or not at all.

    Next: Compare the times of the first datagram and the first frame: was the stream late, or the player?
    """
    most_ms = case.expectations.join_max_ms
    if most_ms is None or not _watched(case):
        return None
    join_ms = case.subject.claims.join_ms
    seen = "no frame was displayed" if join_ms is None else f"{join_ms:.0f} ms"
    detail = f"{seen} (allowed: {most_ms:g} ms)"
    return fails(detail) if join_ms is None or join_ms > most_ms else passes(detail)


def expected(bounds: Mapping[str, Bound], client: ClientReport) -> Finding | None:
    """The client's figures are as its scenario expects.

    Asked only where the scenario has ``[expect]``, and in its own network. Resume is asked of a client that continued.

    FAIL: A figure is out of its bounds, or no frame was displayed after connect or continue.

    ERROR: A figure was not measured, so nothing is known about it.

    Next: Compare the figure with the time line: when did it happen, and what did the scenario do then?
    """
    if not bounds:
        return None
    outside: list[str] = []
    unknown: list[str] = []
    within: list[str] = []
    for key, bound in bounds.items():
        figure = FIGURES[key]
        value = figure.read(client)
        if value is None:
            if not _applies(key, client):
                continue
            missing = outside if _never_came(key, client) else unknown
            missing.append(f"{figure.title} was not measured (expected: {bound})")
            continue
        text = f"{figure.title} {value:.{figure.digits}f}{' ' * bool(figure.unit)}{figure.unit} (expected: {bound})"
        low, high = bound.least is not None and value < bound.least, bound.most is not None and value > bound.most
        (outside if low or high else within).append(text)
    if outside:
        return fails("; ".join(outside))
    if unknown:
        return errs("; ".join(unknown))
    return passes("; ".join(within) or "only what this client cannot have")


def _applies(key: str, client: ClientReport) -> bool:
    """Whether *client* can have the figure *key*: some need a player, and resume a ``continue`` that was granted."""
    if client.player == "none" and key in OF_A_PLAYER:
        return False
    return key != "resume_ms" or _continued(client)


def _never_came(key: str, client: ClientReport) -> bool:
    """Whether the figure *key* is absent because no picture came, and not because nothing measured it."""
    measured = client.measures.playback
    return key == "join_ms" or (key == "resume_ms" and measured is not None and measured.frames_late is not None)


def _continued(client: ClientReport) -> bool:
    return any(command.command == "continue" and command.answer == "ok" for command in client.commands)


def _watched(case: Case) -> bool:
    return bool(case.flow.windows) and case.subject.watches and not case.subject.is_relay
