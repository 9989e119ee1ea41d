"""Clients that are other people's players: their requests are compared with the steps that they were told."""

import pytest

from flume.lab.evidence.facts import Claims, Counters, Reply
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, Verdict
from support.captures.judging import RUN, detail, verdicts
from support.captures.wire import Wire


class RtspWire(Wire):
    """A wire on which client 1 speaks RTSP."""

    def set_up(self) -> "RtspWire":
        self.request(1, "connect")
        self.messages.append(Reply(self.now_s, self.control(1), "connect", media=self.media_address(1)))
        self.wait(0.001)
        return self

    def ask_for(self, *commands: str) -> "RtspWire":
        """Each is granted, and the stream goes on for a second while it may."""
        for command in commands:
            if command == "connect":
                self.set_up()
            else:
                self.request(1, command).reply(1, command)
            if command == "continue":
                self.stream(1, 1)
        return self


def judged(wire: Wire, *steps: str, program: str = "mpv", **claims: object) -> Report:
    told = Claims(**{"join_ms": 700.0, "frames_displayed": 3, "player": program, **claims})  # type: ignore[arg-type]
    counters = Counters(dropped_by_receiver=5)
    subject = wire.subject(1, commands=steps, program=program, claims=told, counters=counters, tap="client-1")
    evidence = wire.evidence(1)
    return judge(evidence._replace(subjects=(subject,), taps=(*evidence.taps, wire.client(1))), RUN)


def commands_verdict(wire: Wire, *steps: str) -> Verdict:
    return verdicts(judged(wire, *steps), "commands")["client-1"]


def opened() -> RtspWire:
    wire = RtspWire()
    wire.open(1)
    return wire


def test_a_player_that_pauses_and_goes_on_passes():
    wire = opened().ask_for("connect", "continue", "interrupt", "continue", "disconnect")
    report = judged(wire, "connect", "interrupt", "continue", "disconnect")
    assert report.verdict is Verdict.PASS
    assert detail(report, "commands", "client-1") == "connect, continue, interrupt, continue, disconnect"
    assert (report.clients[0].program, report.clients[0].datagrams_leaked) == ("mpv", 0)
    assert len(report.clients[0].active_windows) == 2


def test_a_player_whose_pause_asks_for_nothing_is_unsupported_and_no_pass():
    wire = opened().ask_for("connect", "continue", "disconnect")
    report = judged(wire, "connect", "interrupt", "continue", "disconnect")
    assert report.verdict is Verdict.UNSUPPORTED
    wanted = "mpv halts its display at a pause, and asks the server for nothing (pauses: 1)"
    assert detail(report, "commands", "client-1") == wanted
    assert commands_verdict(wire, "connect", "interrupt", "disconnect") is Verdict.UNSUPPORTED
    assert commands_verdict(wire, "connect", "disconnect") is Verdict.PASS


def test_a_step_that_the_driver_reports_as_impossible_is_unsupported():
    wire = opened().ask_for("connect", "continue", "disconnect")
    report = judged(wire, "connect", "disconnect", unsupported=("play: UDP alone",))
    assert report.verdict is Verdict.UNSUPPORTED
    assert "play: UDP alone" in detail(report, "commands", "client-1")


def test_what_the_server_refuses_fails_beside_a_step_that_is_impossible():
    wire = opened().ask_for("connect", "continue")
    wire.request(1, "continue").refuse(1, "continue", "455", state="x").ask_for("disconnect")
    report = judged(wire, "connect", "continue", "disconnect", unsupported=("pause: has no button",))
    assert verdicts(report, "commands")["client-1"] is Verdict.FAIL
    assert "continue: 455" in detail(report, "commands", "client-1")


def test_a_claim_of_a_player_excuses_no_request_without_an_answer_and_no_session_without_an_end():
    silent = opened().ask_for("connect", "continue")
    silent.request(1, "interrupt")
    endless = opened().ask_for("connect", "continue")
    for wire, steps in ((silent, ("connect", "interrupt")), (endless, ("connect", "disconnect"))):
        report = judged(wire, *steps, unsupported=("pause: has no button",))
        assert verdicts(report, "commands")["client-1"] is Verdict.FAIL


def test_a_player_that_could_ask_for_nothing_is_unsupported_and_no_error():
    wire = Wire().connect(2).stream(1, 2).last("interrupt", 2)
    report = judged(wire, "connect", program="vlc:tcp", join_ms=None, unsupported=("play: UDP alone",))
    found = verdicts(report, "silence"), verdicts(report, "commands")
    assert found == ({"client-1": Verdict.UNSUPPORTED}, {"client-1": Verdict.UNSUPPORTED})
    silent = judged(wire, "connect", program="vlc", join_ms=None)
    assert verdicts(silent, "silence") == {"client-1": Verdict.ERROR}, "without a reason nothing is proved"


def test_the_pause_before_a_teardown_is_a_farewell():
    wire = opened().ask_for("connect", "continue", "interrupt", "disconnect")
    assert commands_verdict(wire, "connect", "disconnect") is Verdict.PASS
    assert commands_verdict(wire, "connect", "interrupt", "disconnect") is Verdict.PASS


@pytest.mark.parametrize(
    "seen",
    [
        ("connect", "continue", "interrupt"),
        ("connect", "continue", "disconnect", "connect", "continue", "disconnect"),
        ("connect", "continue", "interrupt", "continue", "disconnect"),
        ("connect", "continue"),
    ],
)
def test_other_requests_than_those_of_the_steps_fail(seen: tuple[str, ...]):
    assert commands_verdict(opened().ask_for(*seen), "connect", "disconnect") is Verdict.FAIL


def test_a_request_that_is_refused_or_not_answered_fails_but_for_a_teardown():
    refused = opened().ask_for("connect", "continue")
    refused.request(1, "interrupt").refuse(1, "interrupt", "455", state="x")
    assert commands_verdict(refused, "connect", "interrupt") is Verdict.FAIL
    silent = opened().ask_for("connect", "continue")
    silent.request(1, "interrupt")
    assert commands_verdict(silent, "connect", "interrupt") is Verdict.FAIL
    closed = opened().ask_for("connect", "continue")
    closed.end(1)
    assert commands_verdict(closed, "connect", "disconnect") is Verdict.PASS, "ffplay sends no TEARDOWN"
    left = opened().ask_for("connect", "continue")
    left.request(1, "disconnect").end(1)
    assert commands_verdict(left, "connect", "disconnect") is Verdict.PASS


def test_a_datagram_after_the_answer_to_pause_is_a_leak_whatever_the_player():
    wire = opened().ask_for("connect", "continue", "interrupt")
    wire.stream(0.1, 1).ask_for("disconnect")
    report = judged(wire, "connect", "interrupt", "disconnect")
    assert verdicts(report, "promise")["client-1"] is Verdict.FAIL


def test_what_a_player_leaves_in_its_socket_is_no_loss_and_ours_is():
    wire = opened().ask_for("connect", "continue", "disconnect")
    report = judged(wire, "connect", "disconnect")
    assert report.clients[0].datagrams_lost == 5
    assert verdicts(report, "loss")["client-1"] is Verdict.PASS
    assert verdicts(judged(wire, "connect", "disconnect", program="flume"), "loss")["client-1"] is Verdict.FAIL


def test_a_player_has_to_display_something_within_8_s_and_its_frames_are_not_compared():
    short = opened().ask_for("connect", "continue", "disconnect")
    assert verdicts(judged(short, "connect", "disconnect"), "frames")["client-1"] is Verdict.PASS
    assert "frames" not in {check.name for check in judged(short, "connect", "disconnect", join_ms=None).checks}
    wire = opened().ask_for("connect", "continue")
    wire.stream(9, 1).ask_for("disconnect")
    report = judged(wire, "connect", "disconnect", join_ms=None)
    assert verdicts(report, "frames")["client-1"] is Verdict.FAIL
