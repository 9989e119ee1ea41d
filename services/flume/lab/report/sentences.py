"""What happened to each client, and to the run, in one sentence that needs no manual. Pure.

The numbers are those of the report; a sentence leaves out what was not measured and never guesses.
"""

import itertools
import re
from collections.abc import Iterable, Sequence

from flume.lab.evidence.facts import RELAY
from flume.lab.trial.measures import Freeze, Measures
from flume.lab.trial.verdict import SERVER, Balance, Check, ClientReport, Report, Verdict

_TIMES = {1: "once", 2: "twice"}


def client_sentence(client: ClientReport, checks: Iterable[Check] = ()) -> str:
    """Return what the viewer at *client* met; *checks* are those of its run.

    The first half is what reached it: what was lost, and where. The second is what it showed. A verdict that is not
    PASS names its checks: without them a good figure could hide a broken promise.
    """
    said = _what_happened(client) if _was_granted(client) else _why_not_connected(client)
    name, verdict = display_name(client.name), _verdict(client, checks)
    behind = "" if client.server == SERVER else f", behind {client.server}"
    if client.verdict is Verdict.ERROR:
        return f"{name}{behind}: nothing is proved ({verdict}); as captured, it {said}"
    name = f"{name}{behind}," if behind else name
    return f"{name} {said} ({verdict})" if verdict else f"{name} {said}"


def lost_frames(report: Report) -> list[str]:
    """Return the sentence of each client of *report* that missed frames, or whose picture stood still."""
    return [client_sentence(client, report.checks) for client in report.clients if _missed_frames(client)]


def run_sentence(report: Report) -> str:
    """Return what the verdict of *report* means, with the number of checks behind it."""
    count = sum(check.verdict is report.verdict for check in report.checks)
    checks = _count(count, "check")
    match report.verdict:
        case Verdict.PASS:
            return f"Datagrams reached active clients only, and each loss is accounted for: {checks} passed."
        case Verdict.UNSUPPORTED:
            return f"What could be asked here is proved; {checks} could not be asked."
        case Verdict.FAIL:
            return f"The product broke a promise: {checks} failed."
        case Verdict.ERROR:
            return f"Evidence is missing or contradicts itself ({checks}): nothing is proved about the product."


def display_name(name: str) -> str:
    """Return the *name* of a client as people write it.

    >>> display_name("client-3"), display_name("the-tv")
    ('client 3', 'the-tv')
    """
    return re.sub(r"^client-(\d+)$", r"client \1", name)


def percent(part: int, whole: int) -> str:
    """Return the share of *part* in *whole*; of a very small one the two counts, because 0.00 % reads as none.

    >>> percent(49, 1000), percent(1, 3000), percent(1, 41200), percent(3, 3)
    ('4.9 %', '0.03 %', '1 of 41 200 datagrams', 'all 3 datagrams')
    """
    if part == whole:
        return "its only datagram" if whole == 1 else f"all {grouped(whole)} datagrams"
    share = 100 * part / whole
    if share < 0.01:
        return f"{grouped(part)} of {grouped(whole)} datagrams"
    # 99.96 % must not read as all of them.
    return f"{min(share, 99.9):.1f} %" if share >= 1 else f"{share:.2f} %"


def grouped(number: int) -> str:
    """Return *number* with a space between thousands.

    >>> grouped(41200)
    '41 200'
    """
    return f"{number:,}".replace(",", " ")


def seconds(value: float) -> str:
    """Return a duration with the digits that a person reads.

    >>> seconds(0.24), seconds(1.25), seconds(12.04), seconds(312)
    ('0.24 s', '1.2 s', '12 s', '5 min 12 s')
    """
    if value < 1:
        return f"{value:.2f} s"
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _count(number: int, what: str) -> str:
    return f"{grouped(number)} {what}{'' if number == 1 else 's'}"


def _often(number: int) -> str:
    return _TIMES.get(number) or f"{grouped(number)} times"


def _was_granted(client: ClientReport) -> bool:
    return bool(client.active_windows) or any(c.command == "connect" and c.answer == "ok" for c in client.commands)


def _why_not_connected(client: ClientReport) -> str:
    answers = [command.answer for command in client.commands if command.command == "connect"]
    if not answers:
        return "did not connect"
    return "was not answered when it connected" if answers[-1] is None else f"was refused: {answers[-1]}"


def _what_happened(client: ClientReport) -> str:
    if not client.active_windows:
        return "was connected and never active"
    return _joined([_losses(client), *_pauses(client), *_playback(client)])


def _joined(parts: Sequence[str]) -> str:
    """Return *parts* as one clause.

    >>> _joined(["lost nothing", "did not freeze"]), _joined(["lost 1.0 %", "froze twice", "longest 1.2 s"])
    ('lost nothing and did not freeze', 'lost 1.0 %, froze twice, longest 1.2 s')
    """
    *before, last = parts
    if not before:
        return last
    if last.startswith("longest"):
        return ", ".join(parts)
    # "lost 1 % here and 2 % there, and did not freeze": two kinds of "and" need the comma.
    comma = "," if " and " in before[-1] else ""
    return f"{', '.join(before)}{comma} and {last}"


def _losses(client: ClientReport) -> str:
    balance, upstream = client.balance, client.datagrams_lost_upstream
    if not balance.sent:
        return "was sent nothing while it was active"
    parts = [f"{percent(upstream, balance.sent + upstream)} before {client.server}"] if upstream else []
    parts += [f"{percent(count, balance.sent)} {where}" for count, where in _causes(balance, client)]
    return f"lost {_joined(parts)}" if parts else "lost nothing"


def _causes(balance: Balance, client: ClientReport) -> list[tuple[int, str]]:
    series = client.measures.series
    link = balance.lost_on_link + balance.damaged_on_link
    # The time lines tell a full queue from chance; the account does not, and it decides how many were lost in all.
    queue = 0 if series is None else min(link, sum(series.lost_queue))
    causes = [
        (link - queue, "on its link"),
        (queue, "in its full queue"),
        (balance.dropped_by_firewall, "at a firewall"),
        (balance.dropped_by_receiver, "in its own kernel"),
        (balance.dropped_by_backlog, "on the engine's host"),
        (balance.unexplained, "without an explanation"),
    ]
    return sorted((cause for cause in causes if cause[0] > 0), key=lambda cause: -cause[0])


def _pauses(client: ClientReport) -> list[str]:
    windows = sorted(client.active_windows)
    pauses = [later[0] - earlier[1] for earlier, later in itertools.pairwise(windows) if later[0] > earlier[1]]
    if not pauses:
        return []
    return [f"was paused {_often(len(pauses))} for {seconds(sum(pauses))}{' in all' if len(pauses) > 1 else ''}"]


def _playback(client: ClientReport) -> list[str]:
    measures = client.measures
    if client.program == RELAY:
        return ["passes the stream on"]
    if client.player == "none":
        return ["shows no video: it counts datagrams"]
    if measures.playback is None:
        if client.frames_displayed is None:
            return ["does not say what it showed"]
        return _displayed(client.frames_displayed, client.frames_due)
    if not measures.playback.frames_shown and client.active_windows:
        return ["showed no frame"]
    return [*_late(measures), *_freezes(measures.playback.freezes, _missing(client))]


def _displayed(shown: int, due: int) -> list[str]:
    if not shown:
        return ["showed no frame"]
    if shown >= due:
        return ["showed every frame that arrived whole"]
    return [f"showed {grouped(shown)} of {_count(due, 'frame')} that arrived whole"]


def _late(measures: Measures) -> list[str]:
    attribution = measures.attribution
    if attribution is None or not attribution.late:
        return []
    return [f"received {_count(attribution.late, 'frame')} too late"]


def _missed_frames(client: ClientReport) -> bool:
    playback = client.measures.playback
    return bool(_missing(client) or (playback is not None and playback.freezes))


def _missing(client: ClientReport) -> int:
    attribution = client.measures.attribution
    return 0 if attribution is None else attribution.missing


def _freezes(freezes: Sequence[Freeze], missing: int) -> list[str]:
    if not freezes:
        return [f"missed {_count(missing, 'frame')} without a freeze"] if missing else ["did not freeze"]
    longest = seconds(max(freeze.duration_s for freeze in freezes))
    if len(freezes) == 1:
        return [f"froze once, for {longest}"]
    return [f"froze {_often(len(freezes))}", f"longest {longest}"]


def _verdict(client: ClientReport, checks: Iterable[Check]) -> str:
    """Return a verdict other than PASS with the checks of *client* that gave it; else nothing."""
    if client.verdict is Verdict.PASS:
        return ""
    names = sorted({c.name for c in checks if c.subject == client.name and c.verdict is client.verdict})
    return f"{client.verdict}: {', '.join(names)}" if names else str(client.verdict)
