"""One sentence a client: each kind of client and loss, in words that need no manual."""

from typing import Any

import msgspec
import pytest

from flume.lab.report.sentences import client_sentence, lost_frames, run_sentence
from flume.lab.trial.measures import Attribution, Freeze, Measures, PlaybackFigures, Series
from flume.lab.trial.verdict import Balance, Check, CommandReport, Verdict
from support.pages.sample import a_client, a_report, clients

CONNECT = CommandReport(time_s=0.2, command="connect", answer="ok", answer_ms=1.0)


def freezes(*lengths: float) -> list[Freeze]:
    return [Freeze(start_s=float(n), duration_s=length) for n, length in enumerate(lengths)]


def playback(*lengths: float, shown: int = 1490) -> PlaybackFigures:
    return PlaybackFigures(
        join_ms=None, resume_ms=[], frames_due=1490, frames_shown=shown, freezes=freezes(*lengths), frozen_pct=0.0
    )


def lossy(**causes: int) -> Balance:
    return Balance(sent=10000, received=10000 - sum(causes.values()), **causes)


def measured(*lengths: float, attribution: Attribution | None = None, shown: int = 1490) -> Measures:
    return Measures(playback=playback(*lengths, shown=shown), attribution=attribution)


def queue_of(*lost: int) -> Series:
    return Series(
        bin_s=0.1,
        rate_kbit=[],
        lost_link=[],
        lost_queue=list(lost),
        lost_host=[],
        lost_beyond=[],
        delay_ms=[],
        shown=[],
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measures": measured()}, "client 3 lost nothing and did not freeze"),
        (
            {"balance": lossy(lost_on_link=490), "measures": measured(0.5, 1.24)},
            "client 3 lost 4.9 % on its link, froze twice, longest 1.2 s",
        ),
        (
            {"balance": lossy(lost_on_link=12), "measures": measured(0.24)},
            "client 3 lost 0.12 % on its link and froze once, for 0.24 s",
        ),
        (
            {"balance": lossy(lost_on_link=100, damaged_on_link=20, dropped_by_receiver=300), "measures": measured()},
            "client 3 lost 3.0 % in its own kernel and 1.2 % on its link, and did not freeze",
        ),
        (
            {"balance": Balance(sent=41200, received=41199, unexplained=1), "measures": measured()},
            "client 3 lost 1 of 41 200 datagrams without an explanation and did not freeze",
        ),
        (
            {"balance": lossy(dropped_by_firewall=10000), "measures": measured(shown=0)},
            "client 3 lost all 10 000 datagrams at a firewall and showed no frame",
        ),
        (
            {"balance": Balance(sent=1, lost_on_link=1), "measures": measured()},
            "client 3 lost its only datagram on its link and did not freeze",
        ),
        (
            {"balance": lossy(dropped_by_backlog=9999), "measures": measured()},
            "client 3 lost 99.9 % on the engine's host and did not freeze",
        ),
        (
            {"balance": lossy(lost_on_link=500), "measures": Measures(series=queue_of(100, 0, 200))},
            "client 3 lost 3.0 % in its full queue and 2.0 % on its link, and showed every frame that arrived whole",
        ),
        (
            {"measures": measured(attribution=Attribution(missing=31, link=30, decoder=1))},
            "client 3 lost nothing and missed 31 frames without a freeze",
        ),
        (
            {"measures": measured(attribution=Attribution(missing=1, link=1))},
            "client 3 lost nothing and missed 1 frame without a freeze",
        ),
        (
            {"measures": measured(0.5, 0.7, 2.0, attribution=Attribution(missing=80, late=79, decoder=1))},
            "client 3 lost nothing, received 79 frames too late, froze 3 times, longest 2.0 s",
        ),
        (
            {"active_windows": [(0.3, 10.0), (16.0, 60.0)], "measures": measured()},
            "client 3 lost nothing, was paused once for 6.0 s and did not freeze",
        ),
        (
            {"active_windows": [(0.3, 10.0), (80.0, 90.0), (100.0, 600.0)], "measures": measured()},
            "client 3 lost nothing, was paused twice for 1 min 20 s in all and did not freeze",
        ),
        (
            {"active_windows": [(0.3, 10.0), (10.0, 20.0)], "measures": measured()},
            "client 3 lost nothing and did not freeze",
        ),
        ({"active_windows": []}, "client 3 was connected and never active"),
        (
            {"balance": Balance(), "measures": measured(shown=0)},
            "client 3 was sent nothing while it was active and showed no frame",
        ),
        ({"active_windows": [], "commands": []}, "client 3 did not connect"),
        (
            {"active_windows": [], "commands": [msgspec.structs.replace(CONNECT, answer="server_full")]},
            "client 3 was refused: server_full",
        ),
        (
            {"active_windows": [], "commands": [msgspec.structs.replace(CONNECT, answer=None)]},
            "client 3 was not answered when it connected",
        ),
        ({"player": "none", "frames_displayed": 0}, "client 3 lost nothing and shows no video: it counts datagrams"),
        ({"program": "vlc", "frames_displayed": None}, "client 3 lost nothing and does not say what it showed"),
        ({"frames_displayed": 0}, "client 3 lost nothing and showed no frame"),
        ({"frames_displayed": 1491}, "client 3 lost nothing and showed every frame that arrived whole"),
        (
            {"frames_displayed": 1400},
            "client 3 lost nothing and showed 1 400 of 1 490 frames that arrived whole",
        ),
        ({"name": "the-tv", "measures": measured()}, "the-tv lost nothing and did not freeze"),
    ],
)
def test_a_sentence_says_what_reached_the_client_and_what_it_showed(changes: dict[str, Any], said: str):
    assert client_sentence(a_client(3, **changes)) == said


def check(name: str, verdict: Verdict, subject: str = "client-3") -> Check:
    return Check(name=name, verdict=verdict, subject=subject, detail="")


@pytest.mark.parametrize(
    ("verdict", "checks", "said"),
    [
        (Verdict.FAIL, [], "client 3 lost nothing and did not freeze (FAIL)"),
        (
            Verdict.FAIL,
            [
                check("promise", Verdict.FAIL),
                check("balance", Verdict.FAIL),
                check("clock", Verdict.PASS),
                check("loss", Verdict.FAIL, "client-4"),
            ],
            "client 3 lost nothing and did not freeze (FAIL: balance, promise)",
        ),
        (
            Verdict.UNSUPPORTED,
            [check("commands", Verdict.UNSUPPORTED)],
            "client 3 lost nothing and did not freeze (UNSUPPORTED: commands)",
        ),
        (
            Verdict.ERROR,
            [check("capture", Verdict.ERROR), check("loss", Verdict.FAIL)],
            "client 3: nothing is proved (ERROR: capture); as captured, it lost nothing and did not freeze",
        ),
    ],
)
def test_a_verdict_that_is_not_pass_stands_in_the_sentence(verdict: Verdict, checks: list[Check], said: str):
    assert client_sentence(a_client(3, verdict=verdict, measures=measured()), checks) == said


@pytest.mark.parametrize(
    ("verdict", "count", "said"),
    [
        (Verdict.PASS, 2, "Datagrams reached active clients only, and each loss is accounted for: 2 checks passed."),
        (Verdict.FAIL, 1, "The product broke a promise: 1 check failed."),
        (Verdict.UNSUPPORTED, 1, "What could be asked here is proved; 1 check could not be asked."),
        (
            Verdict.ERROR,
            3,
            "Evidence is missing or contradicts itself (3 checks): nothing is proved about the product.",
        ),
    ],
)
def test_the_run_has_a_sentence_for_each_verdict(verdict: Verdict, count: int, said: str):
    assert run_sentence(a_report(verdict=verdict, checks=[check(f"c{n}", verdict) for n in range(count)])) == said


def test_the_clients_that_missed_frames_are_named_and_no_others():
    assert [sentence.partition(" lost")[0] for sentence in lost_frames(a_report())] == ["client 3", "client 4"]


def test_a_pause_is_no_loss_in_the_sample():
    _, paused, *_ = clients()
    assert client_sentence(paused) == "client 2 lost nothing, was paused twice for 14 s in all and did not freeze"
