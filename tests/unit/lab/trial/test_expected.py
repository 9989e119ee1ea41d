"""What a scenario expects of a client's figures, and clients that come back after the server's restart."""

from typing import Self

import pytest

from flume.lab.evidence.bound import Bound
from flume.lab.evidence.facts import Endpoint, Expectations
from flume.lab.trial.checks.delivery import without_returns
from flume.lab.trial.checks.viewer import expected
from flume.lab.trial.judge import judge
from flume.lab.trial.measures import Measures
from flume.lab.trial.verdict import CommandReport, Report, Verdict
from flume.lab.trial.windows import CommandOutcome
from support.captures.judging import RUN, detail, verdicts
from support.captures.wire import START_S, Wire, host
from support.report_values import client, measures, playback, wire

JOIN = {"join_ms": Bound(most=1000)}
RESUME = {"resume_ms": Bound(most=1000)}


def continued(answer: str) -> CommandReport:
    return CommandReport(time_s=5.0, command="continue", answer=answer, answer_ms=1.0)


def measured_by_number(*resume_ms: float) -> Measures:
    """Of a player that says which frame it displayed when: only so a missing resume means that no picture came."""
    return measures(playback=playback(resume_ms=[*resume_ms], frames_late=0))


@pytest.mark.parametrize(
    ("bounds", "of", "verdict", "says"),
    [
        (JOIN, client(), Verdict.PASS, "join 500 ms (expected: at most 1000)"),
        (JOIN, client(measures=measures(playback=playback(join_ms=1001.0))), Verdict.FAIL, "join 1001 ms"),
        (JOIN, client(measures=measures(playback=playback(join_ms=None))), Verdict.FAIL, "join was not measured"),
        ({"vmaf": Bound(least=90)}, client(), Verdict.PASS, "VMAF 95.0"),
        ({"vmaf": Bound(least=96)}, client(), Verdict.FAIL, "VMAF 95.0 (expected: at least 96)"),
        ({"vmaf": Bound(least=90)}, client(measures=Measures()), Verdict.ERROR, "VMAF was not measured"),
        (
            {"loss_pct": Bound(least=0.5, most=2)},
            client(measures=measures(wire=wire(lost=30))),
            Verdict.FAIL,
            "loss 3.00 % (expected: at least 0.5, at most 2)",
        ),
        (
            JOIN,
            client(player="none", measures=Measures(), join_ms=None),
            Verdict.PASS,
            "only what this client cannot have",
        ),
        (RESUME, client(), Verdict.PASS, "only what this client cannot have"),
        (RESUME, client(commands=[continued("not_interrupted")]), Verdict.PASS, "only what this client cannot have"),
        (RESUME, client(commands=[continued("ok")], measures=measured_by_number()), Verdict.FAIL, "resume was not"),
        (RESUME, client(commands=[continued("ok")]), Verdict.ERROR, "resume was not measured"),
        (RESUME, client(commands=[continued("ok")], measures=measured_by_number(1500.0)), Verdict.FAIL, "resume 1500"),
    ],
)
def test_a_figure_is_within_its_bounds_or_not(bounds, of, verdict, says):
    found = expected(bounds, of)
    assert found is not None
    assert found.verdict is verdict
    assert says in found.detail


def test_nothing_is_asked_where_nothing_is_expected():
    assert expected({}, client()) is None


def test_an_expectation_counts_for_the_client_and_for_the_run():
    traffic = Wire().connect(1).stream(1, 1).last("interrupt", 1)
    evidence = traffic.evidence(1)
    strict = evidence._replace(subjects=(traffic.subject(1, expected={"loss_pct": Bound(least=50)}),))
    report = judge(strict, RUN)
    assert (report.verdict, report.clients[0].verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert "expected: at least 50" in detail(report, "expected", "client-1")
    assert verdicts(judge(evidence, RUN), "expected") == {}


def outcomes(*commands: tuple[int, str]) -> list[CommandOutcome]:
    """Return *commands*, each with the port of its connection."""
    return [
        CommandOutcome(float(at), ("198.18.0.11", port), name, "ok", at + 0.1)
        for at, (port, name) in enumerate(commands)
    ]


@pytest.mark.parametrize(
    ("commands", "kept", "returns"),
    [
        ([(1, "connect")], ["connect"], 0),
        ([(1, "connect"), (2, "connect")], ["connect"], 1),
        (
            [(1, "connect"), (1, "interrupt"), (2, "connect"), (2, "interrupt"), (2, "continue")],
            ["connect", "interrupt", "continue"],
            1,
        ),
        ([(1, "connect"), (2, "connect"), (2, "interrupt")], ["connect", "interrupt"], 1),
        ([(1, "connect"), (1, "disconnect"), (2, "connect")], ["connect", "disconnect", "connect"], 0),
        ([(1, "connect"), (2, "connect"), (3, "connect")], ["connect", "connect"], 1),
    ],
)
def test_what_a_client_does_to_come_back_is_no_command_of_the_scenario(commands, kept, returns):
    """At most one return, because the server was restarted once: the rest is the client's own fault."""
    seen, returns_s = without_returns(outcomes(*commands), (0.5,))
    assert ([one.command for one in seen], len(returns_s)) == (kept, returns)


def test_a_new_connection_before_the_restart_is_no_return():
    seen, returns_s = without_returns(outcomes((1, "connect"), (2, "connect"), (3, "connect")), (1.5,))
    assert ([one.command for one in seen], returns_s) == (["connect", "connect"], [2.0])
    assert without_returns(outcomes((1, "connect"), (2, "connect")), (1.5,))[1] == []


def restarted(*, returns: int, drops_before: bool = False) -> Report:
    """The report of a client whose server was restarted twice; *drops_before*: it had begun anew before that."""
    traffic = Reconnecting().connect(1).stream(1, 1)
    if drops_before:
        traffic.end(1).anew().connect(1).stream(1, 1)
    restarts_s = []
    for number in range(2):
        restarts_s.append(traffic.now_s)
        traffic.wait(0.01).end(1, by_server=True).wait(1)
        if number < returns:
            traffic.anew().connect(1).stream(1, 1)
        elif number == 0:
            break
    restarts_s += [traffic.now_s] * (2 - len(restarts_s))
    evidence = traffic.evidence(1, expectations=Expectations(restarts_s=tuple(restarts_s)))
    return judge(evidence._replace(subjects=(traffic.subject(1, commands=("connect",)),)), RUN)


class Reconnecting(Wire):
    """Each connection of a client has a port of its own."""

    port = 40000

    def control(self, client: int) -> Endpoint:
        return (host(client), self.port)

    def anew(self) -> Self:
        self.port += 1
        return self


def test_a_client_returns_after_each_restart_that_cut_what_it_watched():
    assert verdicts(restarted(returns=2), "commands") == {"client-1": Verdict.PASS}
    once = restarted(returns=1)
    assert verdicts(once, "commands") == {"client-1": Verdict.FAIL}
    assert "came back 1 times" in detail(once, "commands", "client-1")


def test_a_new_connection_before_the_restart_does_not_count_as_coming_back():
    dropped = restarted(returns=1, drops_before=True)
    assert verdicts(dropped, "commands") == {"client-1": Verdict.FAIL}
    assert "came back 1 times: not after the restart" in detail(dropped, "commands", "client-1")


def test_a_client_that_does_not_come_back_after_a_restart_fails():
    traffic = Wire().connect(1).stream(1, 1).end(1, by_server=True)
    evidence = traffic.evidence(1, expectations=Expectations(restarts_s=(START_S + 0.5,)))
    evidence = evidence._replace(subjects=(traffic.subject(1, commands=("connect",)),))
    report = judge(evidence, RUN)
    assert verdicts(report, "commands") == {"client-1": Verdict.FAIL}
    assert "the client came back 0 times" in detail(report, "commands", "client-1")


def test_a_restart_that_cuts_nothing_asks_no_client_to_come_back():
    traffic = Wire().connect(1).stream(1, 1).end(1)
    evidence = traffic.evidence(1, expectations=Expectations(restarts_s=(traffic.now_s + 5,)))
    report = judge(evidence._replace(subjects=(traffic.subject(1, commands=("connect",)),)), RUN)
    assert verdicts(report, "commands") == {"client-1": Verdict.PASS}
