"""The judge: evidence in, report out. Nothing here opens a file, and nothing here is the code under test. Pure.

Facts (captures) decide. Claims (what programs say) are compared with facts and never replace them. Where a fact is
missing the verdict is ERROR, not PASS: absence of datagrams counts only beside proof that the tap could see them.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from flume.lab.evidence.facts import Evidence, TapFacts
from flume.lab.trial.backlog import explained
from flume.lab.trial.case import Case, cases_of
from flume.lab.trial.checks import run as run_checks
from flume.lab.trial.checks.registry import CLIENT_CHECKS, FIGURE_CHECKS
from flume.lab.trial.client_report import client_report
from flume.lab.trial.measured import measured
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.stream_figures import Packets
from flume.lab.trial.verdict import Balance, Check, ClientReport, Report, RunFacts, TapReport, worst


def judge(
    evidence: Evidence, run: RunFacts, extra_checks: Sequence[Check] = (), packets: Packets | None = None
) -> Report:
    """Return the report on *evidence*; *extra_checks* are the runner's own findings and count like the judge's.

    *packets* has the transport packets of the datagrams that left the server, by their identity; without it the
    transport stream is not examined.

    Raises :class:`~flume.errors.EvidenceError` when a tap is named that is not there.

    Example: the report on one capture, of a client that was captured nowhere else::

        facts = read_tap(path, name="server", log_text=log, port=5004)
        subject = Subject(name="client-1", address="198.18.0.11")
        report = judge(Evidence(started_s, "server", (facts,), (subject,)), RunFacts(run="mine"))
    """
    server = _with_incomplete(evidence.facts(evidence.server_tap))
    end_s = max(server.tap.last_s, evidence.started_s)
    cases = measured(
        explained(cases_of(evidence, server, reconstruct(server)), evidence.backlog), server, end_s, packets
    )
    checks = [*extra_checks, *_check_run(evidence, server, cases)]
    for case in cases:
        checks += _check_client(case)
    clients = [_with_expected(case, client_report(case, checks, end_s), checks) for case in cases]
    return Report(
        verdict=worst(check.verdict for check in checks),
        run=run.run,
        started=datetime.fromtimestamp(evidence.started_s, UTC).isoformat(timespec="milliseconds"),
        duration_s=round(end_s - evidence.started_s, 3),
        engine=run.engine,
        scenario=run.scenario,
        clients=clients,
        balance=sum((client.balance for client in clients), Balance()),
        checks=checks,
        timings=run.timings,
        taps=[_tap_report(facts) for facts in evidence.taps],
        network=run.network,
    )


def _with_incomplete(server: TapFacts) -> TapFacts:
    """Return the facts of the server's tap with the datagrams of which only a part left: they are judged as others."""
    media = sorted((*server.media, *server.incomplete), key=lambda datagram: datagram.time_s)
    return server._replace(media=tuple(media))


def _left_headless(server: TapFacts, clients: Sequence[str]) -> int:
    """Return how many packets left the server, in fragments of which the first is missing."""
    return sum(packet.source not in clients for packet in server.headless)


def _check_run(evidence: Evidence, server: TapFacts, cases: Sequence[Case]) -> Iterator[Check]:
    addresses = [subject.address for subject in evidence.subjects]
    for facts in evidence.taps:
        # At a client's tap the link has lost the rest. Before the link, at the server's, nothing may be missing.
        strays = _left_headless(facts, addresses) if facts.tap.name == evidence.server_tap else 0
        yield run_checks.capture(facts, strays).check("capture", facts.tap.name)
    if evidence.backlog is not None:
        yield run_checks.backlog(evidence.backlog, cases).check("backlog", "run")
    if (finding := run_checks.subjects(addresses)) is not None:
        yield finding.check("subjects", "run")
    yield run_checks.strangers(addresses, server).check("strangers", "run")
    yield run_checks.evidence(cases, server).check("evidence", "run")


def _with_expected(case: Case, client: ClientReport, checks: list[Check]) -> ClientReport:
    """Return *client* with what its figures are beside the scenario's expectations; add that to *checks*."""
    for name, examine in FIGURE_CHECKS.items():
        finding = examine(case.subject.expected, client)
        if finding is not None:
            checks.append(finding.check(name, case.subject.name))
            client = msgspec.structs.replace(client, verdict=worst((client.verdict, finding.verdict)))
    return client


def _check_client(case: Case) -> Iterator[Check]:
    for name, examine in CLIENT_CHECKS.items():
        finding = examine(case)
        if finding is not None:
            yield finding.check(name, case.subject.name)


def _tap_report(facts: TapFacts) -> TapReport:
    tap = facts.tap
    return TapReport(
        name=tap.name,
        interface=tap.interface,
        path=tap.path,
        packets=tap.packets,
        dropped_by_kernel=tap.dropped_by_kernel,
        batches=facts.batches,
        duration_s=round(max(0.0, tap.last_s - tap.first_s), 3),
        problem=tap.problem,
    )
