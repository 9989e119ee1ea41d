"""The judge: evidence in, report out. Nothing here opens a file, and nothing here is the code under test. Pure.

Facts (captures) decide. Claims (what programs say) are compared with facts and never replace them. Where a fact is
missing the verdict is ERROR, not PASS: absence of datagrams counts only beside proof that the tap could see them.

Where there are relays, every hop is judged: the promise holds at each server for its own clients.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from flume.lab.evidence.clock import HostClock
from flume.lab.evidence.facts import Evidence, TapFacts
from flume.lab.evidence.one_clock import on_one_clock
from flume.lab.trial.backlog import explained
from flume.lab.trial.case import Case, cases_of, relay_stream
from flume.lab.trial.checks import relays
from flume.lab.trial.checks import run as run_checks
from flume.lab.trial.checks.registry import CLIENT_CHECKS, FIGURE_CHECKS
from flume.lab.trial.client_report import client_report
from flume.lab.trial.hops import Hop, Tree, lone_hop, tree
from flume.lab.trial.host_links import host_links
from flume.lab.trial.measured import FramePlaces, RelayedPlaces, measured, places_of
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.stream_figures import Packets
from flume.lab.trial.upstream import upstream
from flume.lab.trial.verdict import SERVER, Balance, Check, ClientReport, Report, RunFacts, TapReport, worst

_RUN = "run"


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
    evidence = on_one_clock({SERVER: evidence})[SERVER]
    return _report(Tree((lone_hop(SERVER, evidence),), ()), run, extra_checks, packets)


def judge_tree(
    hops: Mapping[str, Evidence], run: RunFacts, extra_checks: Sequence[Check] = (), packets: Packets | None = None
) -> Report:
    """Return one report on all *hops* of a run with relays: the evidence of each server, by the server's name.

    One hop is that of the first server. Each other one has the name of a relay: of a subject of another hop, whose
    program is :data:`~flume.lab.evidence.facts.RELAY`, and whose tap is the server's tap of its own hop. Hops that one
    kernel carries have the same :class:`~flume.lab.evidence.facts.Backlog`, which is counted once. *packets* has the
    datagrams that left any of the servers. One hop alone gives the report of :func:`judge`.

    The checks of a client have its name as their subject, which is the only one of that name. Checks that concern a
    server have that of the server.

    Raises :class:`~flume.errors.EvidenceError` when a tap is named that is not there.

    Example: two relays::

        relays = tuple(
            Subject(name=name, address=address, tap=name, program=RELAY, watches=False) for name, address in ...
        )
        hops = {
            "server": Evidence(started_s, "server", taps, relays),
            "relay-h2": Evidence(started_s, "relay-h2", taps_there, clients_there),
            "relay-h3": ...,
        }
        report = judge_tree(hops, RunFacts(run="mine"))
    """
    return _report(tree(on_one_clock(hops)), run, extra_checks, packets)


def _report(found: Tree, run: RunFacts, extra_checks: Sequence[Check], packets: Packets | None) -> Report:
    hops = found.hops
    started_s = hops[0].evidence.started_s
    end_s = max(started_s, *(hop.server.tap.last_s for hop in hops))
    cases = _measured(hops, _cases(hops), end_s, packets)
    checks = [*extra_checks, *_check_run(found, cases)]
    for case in _all(cases):
        checks += _check_client(case)
    clients = [
        _with_expected(case, client_report(case, checks, end_s, server), checks)
        for server, mine in cases.items()
        for case in mine
    ]
    balances = {hop.name: _sum(client for client in clients if client.server == hop.name) for hop in hops}
    taps = {facts.tap.name: facts for hop in hops for facts in hop.evidence.taps}
    clocks = hops[0].evidence.clocks
    return Report(
        verdict=worst(check.verdict for check in checks),
        run=run.run,
        started=datetime.fromtimestamp(started_s, UTC).isoformat(timespec="milliseconds"),
        duration_s=round(end_s - started_s, 3),
        engine=run.engine,
        scenario=run.scenario,
        clients=clients,
        balance=_sum(clients),
        checks=checks,
        timings=run.timings,
        taps=[_tap_report(facts, clocks.get(name)) for name, facts in taps.items()],
        network=run.network,
        balances=balances if len(hops) > 1 else {},
        host_links=host_links({hop.name: hop.evidence for hop in hops}, run.hosts),
    )


def _sum(clients: Iterable[ClientReport]) -> Balance:
    return sum((client.balance for client in clients), Balance())


_Cases = dict[str, tuple[Case, ...]]
"""Name of a server to its clients, in the order of the tree."""


def _all(cases: _Cases) -> list[Case]:
    return [case for mine in cases.values() for case in mine]


def _cases(hops: Sequence[Hop]) -> _Cases:
    """Return the clients of each hop, what relays know of their windows included."""
    started_s = hops[0].evidence.started_s
    cases: _Cases = {}
    for hop in hops:
        mine = cases_of(hop.evidence, hop.server, reconstruct(hop.server))
        cases[hop.name] = tuple(case._replace(started_s=started_s) for case in mine)
    for below, above in ((hop.name, hop.above) for hop in hops if hop.above is not None):
        windows = tuple(window for case in cases[below] for window in case.flow.windows)
        cases[above] = tuple(
            case._replace(viewers=windows) if case.subject.name == below else case for case in cases[above]
        )
    return _explained(hops, cases)


def _explained(hops: Sequence[Hop], cases: _Cases) -> _Cases:
    """Return *cases* with what their kernels dropped: the datagrams of one kernel have one count."""
    kernels: dict[int, list[Hop]] = {}
    for hop in hops:
        kernels.setdefault(id(hop.evidence.backlog), []).append(hop)
    done: _Cases = {}
    for mine in kernels.values():
        here = iter(explained([case for hop in mine for case in cases[hop.name]], mine[0].evidence.backlog))
        done |= {hop.name: tuple(next(here) for _ in cases[hop.name]) for hop in mine}
    return {hop.name: done[hop.name] for hop in hops}


def _measured(hops: Sequence[Hop], cases: _Cases, end_s: float, packets: Packets | None) -> _Cases:
    """Return *cases* with their measures: from the first server on, because a relay's stream lacks what it had lost."""
    first: FramePlaces | None = None
    done: _Cases = {}
    for hop in hops:
        mine = cases[hop.name]
        relay = next((case for case in done.get(hop.above or "", ()) if case.subject.name == hop.name), None)
        if relay is None or first is None:
            places: FramePlaces = places_of(_all(cases), hop.server)
            first = first or places
        else:
            stream = relay_stream(relay)
            mine = tuple(case._replace(upstream=upstream(case.flow, stream, hop.server.refusals)) for case in mine)
            places = RelayedPlaces(first, mine)
        done[hop.name] = measured(mine, places, end_s, packets)
    return done


def _check_run(found: Tree, cases: _Cases) -> Iterator[Check]:
    is_tree = len(found.hops) > 1
    yield from _check_captures(found.hops)
    kernels = {id(hop.evidence.backlog): hop for hop in reversed(found.hops) if hop.evidence.backlog is not None}
    for hop in reversed(kernels.values()):
        mine = [case for one in found.hops if one.evidence.backlog is hop.evidence.backlog for case in cases[one.name]]
        if hop.evidence.backlog is not None:
            subject = hop.name if len(kernels) > 1 else _RUN
            yield run_checks.backlog(hop.evidence.backlog, mine).check("backlog", subject)
    for hop in found.hops:
        subject = hop.name if is_tree else _RUN
        addresses = _addresses(hop)
        if (finding := run_checks.subjects(addresses)) is not None:
            yield finding.check("subjects", subject)
        yield run_checks.strangers(addresses, hop.server).check("strangers", subject)
        yield run_checks.evidence(cases[hop.name], hop.server).check("evidence", subject)
    if is_tree or found.problems:
        yield relays.hops(found.problems).check("hops", _RUN)


def _check_captures(hops: Sequence[Hop]) -> Iterator[Check]:
    """Yield the check of each capture, once."""
    servers = {hop.evidence.server_tap: hop for hop in hops}
    taps = {facts.tap.name: facts for hop in hops for facts in hop.evidence.taps}
    for name, facts in taps.items():
        # At a client's tap the link has lost the rest. Before the link, at the server's, nothing may be missing.
        strays = _left_headless(servers[name].server, _addresses(servers[name])) if name in servers else 0
        yield run_checks.capture(facts, strays).check("capture", name)


def _left_headless(server: TapFacts, clients: Sequence[str]) -> int:
    """Return how many packets left the server, in fragments of which the first is missing."""
    return sum(packet.source not in clients for packet in server.headless)


def _addresses(hop: Hop) -> list[str]:
    return [subject.address for subject in hop.evidence.subjects]


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


def _tap_report(facts: TapFacts, clock: HostClock | None) -> TapReport:
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
        clock=clock,
    )
