"""The page of players: what each cell says, from reports and events."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from matrix import page, runs


def report(
    *,
    commands: str = "connect continue interrupt continue disconnect",
    windows: tuple[tuple[float, float], ...] = ((0.1, 9.0), (11.0, 20.0)),
    verdicts: dict[str, tuple[str, str]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """The report on one client."""
    asked = [{"command": name, "answer": "ok", "answer_ms": 1.25} for name in ("status", *commands.split())]
    balance = {"lost_on_link": 0, "dropped_by_receiver": 0, "sent": 900}
    client = {
        "name": "client-1",
        "verdict": "PASS",
        "commands": asked,
        "active_windows": windows,
        "datagrams_active": 900,
        "datagrams_leaked": 0,
        "join_ms": 812.0,
        "first_datagram_ms": 51.4,
        "frames_displayed": 400,
        "frames_due": 449,
        "frames_cut": 1,
        "balance": balance,
        **fields,
    }
    found = {"commands": ("PASS", "as planned"), "balance": ("PASS", "0 unexplained"), **(verdicts or {})}
    checks = [
        {"name": name, "subject": "client-1", "verdict": verdict, "detail": detail}
        for name, (verdict, detail) in found.items()
    ]
    return {"clients": [client], "checks": checks, "balance": balance}


def seen(**fields: Any) -> page.Seen:
    found = page.seen(report(**fields), 0)
    assert found is not None
    return found


HALTS = "mpv halts its display at a pause, and asks the server for nothing (pauses: 1)"
NO_PAUSE = {"commands": ("UNSUPPORTED", HALTS)}
NO_TCP = {"commands": ("UNSUPPORTED", "vlc:tcp cannot do: play: its SAT>IP module takes media over UDP alone")}


def test_a_pause_names_the_answer_and_the_silence():
    assert page.pause(seen()) == "PASS: answered in 1.2 ms, then 2.0 s without a datagram"
    assert page.resume(seen()) == "PASS: answered in 1.2 ms"
    assert page.pause(seen(verdicts=NO_PAUSE)) == "UNSUPPORTED: halts the display alone"
    assert page.resume(seen(verdicts=NO_PAUSE)) == "UNSUPPORTED"
    assert page.pause(seen(datagrams_leaked=7)) == "FAIL: 7 datagrams outside the windows"


def test_a_join_names_frame_and_datagram():
    assert page.join(seen()) == "PASS: first frame 0.8 s, first datagram 51 ms"
    assert page.join(seen(join_ms=None, verdict="FAIL")) == "FAIL: displays nothing"


def test_a_stop_says_how_the_player_left():
    assert page.stop(seen()) == "PASS: answered in 1.2 ms"
    assert page.stop(seen(commands="connect continue")) == "PASS: closes the connection, without TEARDOWN"
    active = {"balance": ("ERROR", "client-1 was still active")}
    assert page.stop(seen(verdicts=active, verdict="ERROR")) == "ERROR: client-1 was still active"


def test_a_network_is_judged_by_all_checks_but_what_the_player_cannot_do():
    assert page.carried(seen()) == "PASS: 900 datagrams, 400 of 450 frames"
    lossy = {"lost_on_link": 9, "dropped_by_receiver": 2, "sent": 911}
    lost = page.carried(seen(balance=lossy, frames_displayed=None))
    assert lost == "PASS: 900 datagrams, 9 lost on the link, 2 left in its socket"
    bad = page.carried(seen(verdicts={"loss": ("FAIL", "9 datagrams")}, verdict="FAIL"))
    assert bad == "FAIL: loss: 9 datagrams"
    cannot = page.carried(seen(verdicts=NO_TCP, windows=()))
    assert cannot == "UNSUPPORTED: play: its SAT>IP module takes media over UDP alone"


def statistics(frames: int | None, state: str = "active") -> dict[str, Any]:
    return {"event": "statistics", "state": state, "player": {"frames_displayed": frames}}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([statistics(100 + 25 * second) for second in range(20)], "plays again by itself"),
        ([statistics(100 + min(second, 3)) for second in range(20)], "waits, without the stream"),
        ([statistics(None)] * 20, "does not end, and does not say whether it displays"),
        ([{"event": "end", "reason": "refused"}, statistics(9, "closed")], "ends: refused"),
        ([], "says nothing"),
        (None, "not run"),
    ],
)
def test_after_a_restart_of_the_server(events: list[dict[str, Any]] | None, said: str):
    assert page.restarted(events) == said


def test_what_was_not_run_is_said_and_the_page_is_a_table():
    made = page.page(["vlc"], {"pause 2 s": report()}, {}, {"vlc": "VLC 3.0.23"})
    (row,) = [line for line in made.splitlines() if line.startswith("| vlc | PASS")]
    assert row.count("|") == len(page.COLUMNS) + 2
    assert row.count("not run") == 5
    assert "In 1 runs of the lab 900 datagrams left the server, 0 of them outside the windows." in made
    assert "| vlc | VLC 3.0.23 |" in made


LOOPBACK = {
    "first_frame_ms": {"vlc": 1663.5, "mpv": None},
    "first_datagram_ms": [1.97, 79.9],
    "datagrams": 19226,
    "leaked": 0,
}
OTHER = {"server": "GStreamer 1.22.0", "players": 4, "pauses": 40, "teardowns": 2, "hang_ups": 2, "datagrams": 7118}


def test_joins_are_counted_from_setup_in_the_lab_and_on_loopback():
    assert page.joins({}, None) == []
    (lab,) = page.joins({"clean": report()}, None)
    assert lab == "In the lab all began at once, and the first datagram arrived 51 to 51 ms after SETUP."
    both, _, settings, _ = page.joins({"clean": report()}, LOOPBACK)
    assert both.startswith(lab)
    assert "2 to 80 ms after SETUP; first frames vlc 1.7 s, mpv never after it; 0 of 19,226 datagrams outside" in both
    assert "| vlc | `--network-caching=300` |" in settings


def test_another_server_is_named_with_what_it_did():
    made = page.page(["vlc"], {}, {}, {}, other={**OTHER, "leaked": {"after_interrupt": 1}})
    assert "rtsp-server of GStreamer 1.22.0" in made
    assert "paused 40 times" in made
    assert "Of 7,118 datagrams 1 left outside the windows: after_interrupt 1 (" in made
    assert "0 left outside the windows (" in "".join(page.other_server({**OTHER, "leaked": {}}))


def test_the_wrap_of_the_numbers_is_told_without_and_with_the_remedy():
    found = {
        "without": {"before": 480, "after": 3, "round_s": 46.2},
        "with": {"before": 470, "after": 1020, "round_s": 46.1},
    }
    made = page.page(["vlc"], {}, {}, {}, wrap=found)
    assert "the numbers went round in 46 s, in which VLC displayed 3 frames (480 before)" in made
    assert "1020 frames (470 before)" in made


def test_the_report_of_an_earlier_run_is_not_that_of_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    earlier = tmp_path / "20261127-1"
    earlier.mkdir()
    (earlier / "report.json").write_text('{"clients": []}')
    (tmp_path / "latest").symlink_to(earlier.name)
    later = tmp_path / "20261127-2"

    def succeed(command: object, **_: object) -> subprocess.CompletedProcess[str]:
        later.mkdir()
        (later / "report.json").write_text('{"clients": [1]}')
        (tmp_path / "latest").unlink()
        (tmp_path / "latest").symlink_to(later.name)
        return subprocess.CompletedProcess((), 4, "", "")

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 3, "", "no engine"))
    with pytest.raises(SystemExit, match="no engine"):
        runs.run(runs.TRIALS[0], tmp_path)
    monkeypatch.setattr(subprocess, "run", succeed)
    assert runs.run(runs.TRIALS[0], tmp_path) == {"clients": [1]}
