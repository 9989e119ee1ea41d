"""The page from reports and events. Pure: reports in, Markdown out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Report = Mapping[str, Any]

COLUMNS = (
    "join",
    "join, set to be soon",
    "pause 2 s",
    "pause 120 s",
    "resume",
    "stop",
    "UDP, clean",
    "TCP",
    "lossy-1",
    "server restart",
)

MISSING = "not run"

_HEAD = """# Other people's players

*For the operator.* After this page you know what VLC, ffplay, mpv and GStreamer do at this server. `make players` makes
the page from runs of the lab, in each of which all players play at once. The judge takes the windows from the captured
RTSP bytes.

A cell has the judge's verdict on that step, and a figure. PASS: all that was asked happened, and no datagram left the
server outside the windows. UNSUPPORTED: the player cannot do that. `flume` is our own client, for comparison.
The first datagram is counted from SETUP, the first frame from the command to play: GStreamer fills its buffer for 2 s,
and ffplay examines the stream. Frames are those that the player says it displayed; what it has read ahead is lost when
it stops. ffplay counts none.

What a person does: Debian's VLC and mpv halt their display in a pause, and the datagrams go on. To save the network,
stop and play again. After the server was started again `flume` comes back by itself; in a player, play again.
When a player shows nothing, `flume doctor rtsp://HOST:5004/` names the leg that fails ([the doctor](doctor.md)).

GStreamer 1.22 may not come back from a pause by itself: its sinks wait for one more frame, and where none is on the way
it never asks to PLAY (5 of 20 runs on a busy computer). The lab's player does not wait (`async=false` on its sinks at a
pause) and came back in 20 of 20. In others, stop and play again.
"""


class Seen(NamedTuple):
    """One client of one run."""

    client: Mapping[str, Any]
    checks: Mapping[str, Mapping[str, Any]]
    """By name."""

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        """What it asked the server for, keep-alives left out."""
        return [command for command in self.client["commands"] if command["command"] != "status"]


def seen(report: Report | None, number: int) -> Seen | None:
    """Return client *number* of *report*, counted from 0."""
    if report is None:
        return None
    client = report["clients"][number]
    return Seen(client, {one["name"]: one for one in report["checks"] if one["subject"] == client["name"]})


def join(one: Seen | None) -> str:
    """Return the cell on joining."""
    if one is None:
        return MISSING
    if one.client["join_ms"] is None:
        return f"{one.client['verdict']}: displays nothing"
    first_s, datagram_ms = one.client["join_ms"] / 1000, one.client["first_datagram_ms"]
    return f"PASS: first frame {first_s:.1f} s, first datagram {datagram_ms:.0f} ms"


def pause(one: Seen | None) -> str:
    """Return the cell on a pause."""
    if one is None:
        return MISSING
    if one.client["datagrams_leaked"]:
        return f"FAIL: {one.client['datagrams_leaked']} datagrams outside the windows"
    asked = [request for request in one.requests if request["command"] == "interrupt"]
    windows = one.client["active_windows"]
    if one.checks["commands"]["verdict"] != "PASS" or len(windows) < 2:
        detail = "halts the display alone" if "asks the server" in one.checks["commands"]["detail"] else ""
        return ": ".join(text for text in (one.checks["commands"]["verdict"], detail) if text)
    silent_s = windows[1][0] - windows[0][1]
    return f"PASS: answered in {asked[0]['answer_ms']:.1f} ms, then {silent_s:.1f} s without a datagram"


def resume(one: Seen | None) -> str:
    """Return the cell on the return from a pause."""
    if one is None:
        return MISSING
    if one.checks["commands"]["verdict"] != "PASS":
        return str(one.checks["commands"]["verdict"])
    again = [request for request in one.requests if request["command"] == "continue"][-1]
    return f"PASS: answered in {again['answer_ms']:.1f} ms"


def stop(one: Seen | None) -> str:
    """Return the cell on the end."""
    if one is None:
        return MISSING
    if one.client["datagrams_leaked"] or one.checks["balance"]["verdict"] != "PASS":
        return f"{one.client['verdict']}: {one.checks['balance']['detail']}"
    last = one.requests[-1]
    if last["command"] != "disconnect":
        return "PASS: closes the connection, without TEARDOWN"
    answer = "answer not read" if last["answer_ms"] is None else f"answered in {last['answer_ms']:.1f} ms"
    return f"PASS: {answer}"


def carried(one: Seen | None) -> str:
    """Return the cell on a whole run over one network and transport."""
    if one is None:
        return MISSING
    if not one.client["active_windows"] and one.checks["commands"]["verdict"] == "UNSUPPORTED":
        return f"UNSUPPORTED: {one.checks['commands']['detail'].partition(': ')[2]}"
    wrong = [
        f"{name}: {check['detail']}"
        for name, check in one.checks.items()
        if check["verdict"] not in {"PASS", "UNSUPPORTED"}
    ]
    if wrong:
        return f"{one.client['verdict']}: {wrong[0]}"
    lost, frames = one.client["balance"]["lost_on_link"], one.client["frames_displayed"]
    left = one.client["balance"]["dropped_by_receiver"]
    parts = [f"{one.client['datagrams_active']} datagrams"]
    parts += [f"{lost} lost on the link"] if lost else []
    parts += [f"{left} left in its socket"] if left else []
    parts += [] if frames is None else [f"{frames} of {one.client['frames_due'] + one.client['frames_cut']} frames"]
    return f"PASS: {', '.join(parts)}"


def restarted(events: Sequence[Mapping[str, Any]] | None) -> str:
    """Return the cell on a server that ended and came back, from the *events* of the player after that."""
    if events is None:
        return MISSING
    # The position of ffplay is no proof: its clock goes on without the stream.
    frames = [event["player"]["frames_displayed"] for event in events if event["event"] == "statistics"]
    counted = [frame for frame in frames if frame is not None]
    states = [event["state"] for event in events if event["event"] == "statistics"]
    ends = [str(event.get("reason")) for event in events if event["event"] == "end"]
    if ends:
        return f"ends: {ends[0]}"
    # The last five seconds: what was still in its buffers has been displayed by then.
    if len(counted) > 5 and counted[-1] - counted[-6] > 25:
        return "plays again by itself"
    if states and states[-1] == "active":
        return "waits, without the stream" if counted else "does not end, and does not say whether it displays"
    return f"is {states[-1]}" if states else "says nothing"


_QUICK = """To join soon, set what makes a player wait although the stream has begun with a keyframe:

| player | setting |
|---|---|
| vlc | `--network-caching=300` |
| ffplay | `-analyzeduration 200000` |
| mpv | `--demuxer-lavf-analyzeduration=0.1`; its profile `low-latency` waits for the next keyframe |
| gstreamer | `latency` of `rtspsrc` 200, of `tsdemux` 100 |"""


def joins(reports: Mapping[str, Report], loopback: Mapping[str, Any] | None) -> list[str]:
    """Return the paragraph on how soon players that begin at once are sent the stream."""
    lab_ms = [
        client["first_datagram_ms"]
        for report in reports.values()
        for client in report["clients"]
        if client["first_datagram_ms"] is not None
    ]
    said = (
        f"In the lab all began at once, and the first datagram arrived {_span(lab_ms)} after SETUP." if lab_ms else ""
    )
    if loopback is None:
        return [said] if said else []
    frames = ", ".join(f"{name} {_seconds(join_ms)}" for name, join_ms in loopback["first_frame_ms"].items())
    datagrams = f"{loopback['leaked']} of {loopback['datagrams']:,} datagrams outside the windows"
    return [
        f"{said} On loopback, four at once, each set to join soon (below): {_span(loopback['first_datagram_ms'])} "
        f"after SETUP; first frames {frames} after it; {datagrams}.".strip(),
        "",
        _QUICK,
        "",
    ]


def _span(times_ms: Sequence[float]) -> str:
    return f"{min(times_ms):.0f} to {max(times_ms):.0f} ms"


def _seconds(time_ms: float | None) -> str:
    return "never" if time_ms is None else f"{time_ms / 1000:.1f} s"


def other_server(found: Mapping[str, Any] | None) -> list[str]:
    """Return the paragraph on a server that none of us wrote."""
    if found is None:
        return []
    leaked = sum(found["leaked"].values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found["leaked"].items()))
    return [
        "",
        f"The same judge on a server that none of us wrote, rtsp-server of {found['server']} "
        f"(`make players TRIALS=other-server`): {found['players']} players over UDP paused {found['pauses']} times, "
        f"then {found['teardowns']} sent TEARDOWN and {found['hang_ups']} closed their connection. Of "
        f"{found['datagrams']:,} datagrams {leaked} left outside the windows{': ' if reasons else ''}{reasons} "
        "([reasons](judge.md#active-windows)).",
    ]


def number_wrap(found: Mapping[str, Any] | None) -> list[str]:
    """Return the paragraph on the wrap of RTP's numbers."""
    if found is None:
        return []
    without, remedied = found["without"], found["with"]
    return [
        "",
        "Debian's VLC where 1 % is lost each way, and each datagram numbered 65535 (`make players TRIALS=wrap`): "
        f"the numbers went round in {without['round_s']:.0f} s, in which VLC displayed {without['after']} frames "
        f"({without['before']} before). With what the server sends to it ([why](decisions/0017-rtsp.md)): "
        f"{remedied['after']} frames ({remedied['before']} before).",
    ]


def page(
    players: Sequence[str],
    reports: Mapping[str, Report],
    restart: Mapping[str, Sequence[Mapping[str, Any]]],
    versions: Mapping[str, str],
    *,
    loopback: Mapping[str, Any] | None = None,
    other: Mapping[str, Any] | None = None,
    wrap: Mapping[str, Any] | None = None,
) -> str:
    """Return ``docs/players.md``. *reports* by the trial's name, *restart*: events by the player's name.

    *loopback*, *other*, *wrap*: what the trials of those names found.
    """
    lines = [_HEAD, f"| player | {' | '.join(COLUMNS)} |", f"|{'---|' * (len(COLUMNS) + 1)}"]
    for number, player in enumerate(players):
        brief, soon, long, tcp, lossy = (
            seen(reports.get(name), number) for name in ("pause 2 s", "joining soon", "pause 120 s", "TCP", "lossy-1")
        )
        cells = [join(brief), join(soon), pause(brief), pause(long), resume(brief), stop(brief)]
        cells += [carried(brief), carried(tcp), carried(lossy), restarted(restart.get(player))]
        lines.append(f"| {player} | {' | '.join(cells)} |")
    leaked = sum(client["datagrams_leaked"] for report in reports.values() for client in report["clients"])
    sent = sum(report["balance"]["sent"] for report in reports.values())
    lines += [
        "",
        f"In {len(reports)} runs of the lab {sent:,} datagrams left the server, {leaked} of them outside the windows.",
        "",
        *joins(reports, loopback),
        *other_server(other),
        *number_wrap(wrap),
        "",
    ]
    lines += ["| player | version |", "|---|---|"]
    lines += [f"| {player} | {version} |" for player, version in versions.items()]
    return "\n".join(lines) + "\n"
