"""What the tests of the judge share: the wires they judge, and how they read a report."""

from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, RunFacts, Verdict
from support.captures.wire import Wire

CLIENT_FIELDS = {
    "name",
    "address",
    "active_windows",
    "datagrams_active",
    "datagrams_leaked",
    "datagrams_lost",
    "join_ms",
    "frames_displayed",
}
"""Keys of a client in ``report.json`` that programs read, by the README."""

BALANCE_FIELDS = {
    "sent",
    "received",
    "lost_on_link",
    "damaged_on_link",
    "dropped_by_firewall",
    "dropped_by_receiver",
    "dropped_by_backlog",
    "unexplained",
}
"""All keys of an account in ``report.json``."""

RUN = RunFacts(run="r1", engine={"name": "paper"}, timings={"start": 1.0})


def verdicts(report: Report, name: str) -> dict[str, Verdict]:
    return {check.subject: check.verdict for check in report.checks if check.name == name}


def detail(report: Report, name: str, subject: str) -> str:
    return next(check.detail for check in report.checks if (check.name, check.subject) == (name, subject))


def tour() -> Wire:
    """Client 1 stays; client 2 is interrupted, continues and disconnects."""
    wire = Wire().connect(1).connect(2).stream(1, 1, 2).last("interrupt", 2).stream(1, 1)
    wire.request(2, "continue").reply(2, "continue", state="active", first_sequence=wire.sequence)
    return wire.stream(1, 1, 2).last("disconnect", 2).stream(0.5, 1).last("disconnect", 1)


def two() -> Wire:
    return Wire().connect(1).connect(2).stream(1, 1, 2)


def short() -> Wire:
    return Wire().connect(1).stream(1, 1).last("interrupt", 1)


def commands(wire: Wire, *planned: str) -> Verdict:
    """The verdict on the commands of client 1, of which *planned* were planned."""
    subject = wire.subject(1, commands=planned)
    return verdicts(judge(wire.evidence(1)._replace(subjects=(subject,)), RUN), "commands")["client-1"]
