"""Links are switched while streams run: other clients lose nothing, and every loss is accounted for."""

import time
from typing import NamedTuple

import msgspec
import pytest

from flume.control.session import Command, State
from flume.lab.containers.engine import Start
from flume.lab.evidence.facts import Claims, Evidence, Expectations, PlayerRecord
from flume.lab.link.links import Links
from flume.lab.machine.process import wait_until
from flume.lab.pictures.compare import compare
from flume.lab.run import collect
from flume.lab.run.fleet import SERVER_TAP, Client, quiesce
from flume.lab.run.scenario import Cue, Timetable
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import ClientReport, Report, RunFacts, Verdict
from flume.settings import DEFAULT_PORT
from support.labs.containers import load_layout
from support.labs.netem_labs import NetemLab, profile

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

ROUND = ("lte", "lossy-5", "lte-shared", "geo", "wifi-bad", "clean")
SWITCHES = 10


class Counted(NamedTuple):
    """What a client has counted over all its streams."""

    received: int = 0
    dropped: int = 0
    """Datagrams dropped at its own socket."""
    displayed: int = 0
    """Frames."""

    def since(self, before: "Counted") -> "Counted":
        return Counted(*(now - then for now, then in zip(self, before, strict=True)))


def counted(client: Client) -> Counted:
    """Return what *client* has counted since it was started."""
    seen = client.statistics
    if seen is None:
        return Counted()
    return Counted(seen.datagrams or 0, seen.dropped_by_receiver, seen.player.frames_displayed or 0)


def received(client: Client) -> int:
    """Return the datagrams that the client has counted."""
    return counted(client).received


def wait_for_state(client: Client, state: State) -> None:
    """Return when the session of *client* is in *state*, according to its statistics."""
    assert wait_until(lambda: client.state == state, timeout_s=30), f"{client.name} is {client.state}, not {state}"


def wait_for_datagrams(client: Client, more: int) -> None:
    """Return when *client* has received that many *more* datagrams."""
    wanted = received(client) + more
    assert wait_until(lambda: received(client) >= wanted, timeout_s=30), f"{client.name} gets no datagrams"


def stream(lab: NetemLab, tmp_path, during) -> tuple[Report, Evidence]:
    """Let all clients watch while *during* runs; return the judge's report and its evidence."""
    fleet, clients = lab.fleet, lab.fleet.clients
    before, counted_before = lab.links.lost(), {client.number: counted(client) for client in clients}
    fleet.probe.clear()
    collect.start_taps(fleet)
    started_s = time.time()
    try:
        for client in clients:
            client.send(Command.CONNECT)
        for client in clients:
            wait_for_state(client, State.ACTIVE)
        during()
    finally:
        for client in clients:
            client.send(Command.DISCONNECT)
        for client in clients:
            wait_for_state(client, State.CLOSED)
    quiesce(clients)
    cues = [(Command.CONNECT, 0.0), (Command.DISCONNECT, 1.0)]
    plan = Timetable(tuple(Cue(at_s, client.number, command) for command, at_s in cues for client in clients), 2.0)
    expectations = Expectations(loss_max_pct=100, frames_min_pct=None)
    hops = collect.gather(fleet, plan, expectations, started_s=started_s, port=DEFAULT_PORT, directory=tmp_path)
    evidence = hops[SERVER_TAP]
    lost = {number: count - before[number] for number, count in lab.links.lost().items()}
    # A client counts from its start, and this is not its first stream.
    streamed = {client.number: counted(client).since(counted_before[client.number]) for client in clients}
    subjects = tuple(
        msgspec.structs.replace(
            subject,
            counters=msgspec.structs.replace(
                subject.counters, lost_on_link=lost[client.number], dropped_by_receiver=streamed[client.number].dropped
            ),
            claims=claims_since(
                subject.claims, streamed[client.number], counted_before[client.number].displayed, started_s
            ),
        )
        for subject, client in zip(evidence.subjects, clients, strict=True)
    )
    evidence = evidence._replace(subjects=subjects)
    return judge(evidence, RunFacts(run="run-1", engine={}, timings={}, scenario={})), evidence


def claims_since(claims: Claims, streamed: Counted, displayed_before: int, started_s: float) -> Claims:
    """Return what the client claims of its latest stream, before which it had displayed *displayed_before* pictures."""
    record, displayed = claims.record, streamed.displayed
    if record is not None:
        before, shown = record.shown[:displayed_before], record.shown[displayed_before:]
        # The last frame of the stream before may have waited in the decoder for the first one of this stream.
        if before and shown and None not in {before[-1].number, shown[0].number}:
            is_held = shown[0].number == (before[-1].number or 0) + 1
            shown, displayed = shown[is_held:], displayed - is_held
        given_up = tuple(one for one in record.given_up if one.time_s >= started_s)
        late = tuple(one for one in record.late if one.time_s >= started_s)
        record = PlayerRecord(shown, given_up, late)
    return msgspec.structs.replace(claims, datagrams=streamed.received, frames_displayed=displayed, record=record)


def by_name(report: Report) -> dict[str, ClientReport]:
    return {client.name: client for client in report.clients}


def test_ten_switches_cost_the_others_nothing_and_leak_nothing(netem_lab: NetemLab, tmp_path) -> None:
    """Each switch is made in place; the switched client misses exactly the datagrams that netem counts as dropped."""
    switched = netem_lab.fleet.clients[0]
    netem_lab.links.set(profile("clean"))  # other tests leave other links

    def during() -> None:
        for number in range(SWITCHES):
            netem_lab.links.set(profile(ROUND[number % len(ROUND)]), [switched.number])
            wait_for_datagrams(switched, 30)

    report, _ = stream(netem_lab, tmp_path, during)
    trouble = [check for check in report.checks if check.verdict is not Verdict.PASS]
    assert not trouble, trouble
    assert report.balance.unexplained == 0
    first, *others = [by_name(report)[client.name] for client in netem_lab.fleet.clients]
    assert first.balance.lost_on_link > 0, "wifi-bad and lossy-5 were among them"
    for other in others:
        assert other.datagrams_lost == 0
        assert other.balance.lost_on_link == 0
        assert other.datagrams_leaked == 0
        check_pictures(other)


def check_pictures(client: ClientReport) -> None:
    """Check that the client displayed the frames that arrived in full.

    Other load on the computer costs some; and those that are on the way when the stream ends are not displayed, which
    are eight of 300 ms.
    """
    assert client.player == "headless"
    assert client.frames_due > 20
    assert (client.frames_displayed or 0) >= 0.95 * client.frames_due - 8


def test_a_lossy_link_loses_single_datagrams_and_each_is_accounted_for(netem_lab: NetemLab, tmp_path) -> None:
    """If netem lost whole segmentation batches of eight, there would be runs of eight."""
    netem_lab.links.set(profile("lossy-5"))
    report, evidence = stream(netem_lab, tmp_path, lambda: wait_for_datagrams(netem_lab.fleet.clients[0], 2000))
    assert not [check for check in report.checks if check.verdict is not Verdict.PASS]
    assert report.balance.unexplained == 0
    runs: list[int] = []
    sent = 0
    for subject in evidence.subjects:
        taps = [evidence.facts(tap).media for tap in (evidence.server_tap, subject.tap or "")]
        left, came = ([d.sequence for d in media if d.destination[0] == subject.address] for media in taps)
        sent += len(left)
        runs += missing_runs(left, set(came))
    assert sent > 5 * 2000
    assert sum(runs) == report.balance.lost_on_link
    assert sum(runs) / sent == pytest.approx(0.05, abs=0.01)
    assert sum(runs) / len(runs) == pytest.approx(1 / 0.95, abs=0.05), "independent loss has runs of 1/(1-p)"
    assert max(runs) < 6
    first = msgspec.structs.replace(report, clients=report.clients[:1])
    (seen,) = compare(tmp_path, first).clients
    pictures = seen.measures.pictures
    assert pictures is not None, seen.measures.not_measured
    assert pictures.compared >= (seen.frames_displayed or 0) - seen.frames_cut
    assert pictures.identical < pictures.compared / 2, "at 5 % hardly a group of pictures is whole"
    assert pictures.vmaf is not None
    assert 20 < pictures.vmaf.mean < 95
    for client in report.clients:
        check_pictures(client)


@pytest.mark.parametrize("name", ["bursty", "lte"])
def test_what_a_client_misses_is_what_its_link_lost_to_the_datagram(netem_lab: NetemLab, tmp_path, name: str) -> None:
    """Missing between the captures = netem's drops, for each client; also in bursts, and with a bottleneck."""
    netem_lab.links.set(profile(name))
    report, evidence = stream(netem_lab, tmp_path, lambda: wait_for_datagrams(netem_lab.fleet.clients[0], 2000))
    assert not [check for check in report.checks if check.verdict is not Verdict.PASS]
    assert report.balance.unexplained == 0
    for client, subject in zip(report.clients, evidence.subjects, strict=True):
        taps = [evidence.facts(tap).media for tap in (evidence.server_tap, subject.tap or "")]
        left, came = ([d.sequence for d in media if d.destination[0] == subject.address] for media in taps)
        assert sum(missing_runs(left, set(came))) == client.balance.lost_on_link > 0


def missing_runs(left: list[int | None], came: set[int | None]) -> list[int]:
    """Return the lengths of the runs in *left* that are not in *came*."""
    runs, length = [], 0
    for sequence in left:
        if sequence not in came:
            length += 1
        elif length:
            runs.append(length)
            length = 0
    return [*runs, length] if length else runs


def test_geo_with_five_clients_loses_nothing_but_what_it_should(netem_lab: NetemLab, tmp_path) -> None:
    """300 ms of five streams are in flight: netem's default limit of 1000, or a short queue, would lose datagrams."""
    geo = profile("geo")
    lossless = msgspec.structs.replace(
        geo, down=msgspec.structs.replace(geo.down, loss_pct=0), up=msgspec.structs.replace(geo.up, loss_pct=0)
    )
    netem_lab.links.set(lossless)
    report, _ = stream(netem_lab, tmp_path, lambda: wait_for_datagrams(netem_lab.fleet.clients[0], 1000))
    assert not [check for check in report.checks if check.verdict is not Verdict.PASS]
    assert report.balance.unexplained == 0
    assert report.balance.lost_on_link == 0
    for client in report.clients:
        assert client.datagrams_active > 900  # the first client is waited for
        check_pictures(client)


def test_a_link_whose_setting_was_interrupted_is_completed_by_the_next_one(netem_lab: NetemLab) -> None:
    """The probe was killed before it remembered the link: no frame is lost, and none passes twice."""
    number = 98
    start = Start(
        service="probe", role="client", index=number, network=netem_lab.fleet.network, command=("sleep", "infinity")
    )
    container = netem_lab.engine.start_service(netem_lab.name, "run-1", load_layout(), start)
    try:
        wires = [wire.container.pid for wire in netem_lab.fleet.wires]
        links = Links(netem_lab.fleet.probe, {number: container.pid}, wires)
        links.set(profile("lan"))
        netem_lab.fleet.probe.container.run_checked(["rm", f"/run/links/{number}.link"])
        links.set(profile("lan"))
        for report in links.calibrate():
            assert report.deviations == ()
            assert report.measured.duplicate_pct == 0
    finally:
        container.remove()


def test_a_client_that_is_gone_has_no_link_any_more(netem_lab: NetemLab) -> None:
    """And no process that makes its steps. A wire's port for it stays on the bridge, until the wire ends."""
    number = 99
    start = Start(
        service="probe", role="client", index=number, network=netem_lab.fleet.network, command=("sleep", "infinity")
    )
    probe = netem_lab.fleet.probe
    container = netem_lab.engine.start_service(netem_lab.name, "run-1", load_layout(), start)
    try:
        links = Links(probe, {number: container.pid}, [wire.container.pid for wire in netem_lab.fleet.wires])
        links.set(profile("leo"), [number])
        assert links.present() == {number: "leo"}
    finally:
        container.remove()
    assert wait_until(lambda: links.present() == {}, timeout_s=30)
    # The brackets keep the pattern from matching the shell that runs it. The next step of leo is at most 15 s away.
    look = ["sh", "-c", "pgrep -f '[l]ink-probe steps' || true"]
    assert wait_until(lambda: not probe.container.run_checked(look).strip(), timeout_s=60), "a sequencer still runs"
