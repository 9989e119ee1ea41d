"""One run of the lab from Enter to the verdict, in steps whose times are measured and reported.

The runner only puts the steps in order. A fault of the lab itself becomes an ERROR, never a PASS.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.control.session import Command
from flume.errors import LabError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.topology import Topology
from flume.lab.engines import prepare
from flume.lab.engines.lock import down_command, only_one_everywhere
from flume.lab.evidence.facts import Evidence, LinkQueue
from flume.lab.evidence.store import Store
from flume.lab.hosts.hosts_file import HostsFile
from flume.lab.hosts.readiness import Readiness
from flume.lab.hosts.remembered import forget, remember
from flume.lab.hosts.site import Site, closing_unless_interrupted
from flume.lab.hosts.watch import HostLostError, HostWatch
from flume.lab.link.links import LinkReport
from flume.lab.machine.interrupts import clearing_away
from flume.lab.machine.process import wait_until
from flume.lab.progress import Say, Task, task
from flume.lab.report.writer import write_report
from flume.lab.run import artifacts, collect, network
from flume.lab.run.clocks import RunClocks
from flume.lab.run.facts import run_facts
from flume.lab.run.fleet import Client, Fleet, quiesce
from flume.lab.run.scenario import Cue, Event, Timetable, timetable
from flume.lab.run.spec import RunPlan, RunSpec, plan_run, shaping_media
from flume.lab.run.starting import start_fleet
from flume.lab.run.stopwatch import Stopwatch
from flume.lab.testcard import ensure_test_card
from flume.lab.trial.judge import judge_tree
from flume.lab.trial.verdict import Report
from flume.settings import DEFAULT_PORT, check

_CUE_TICK_S = 0.1
"""Longest sleep between two looks at the fleet while a scenario plays."""


RELAYS_REST_S = 15.0
"""A relay asks for nothing 2 s after its last client has paused. One that goes on is reported by the judge."""

_LEFT_TIMEOUT_S = 3.0
"""For finding out what is left when clearing away was given up: a person waits for the end of the program."""


class Outcome(NamedTuple):
    """A finished run."""

    report: Report
    directory: Path
    """The folder of its artefacts."""


def run_lab(
    spec: RunSpec,
    *,
    say: Say,
    interactive: bool,
    watch: Stopwatch | None = None,
    hosts: HostsFile | None = None,
    show: Callable[[Readiness], None] = lambda _found: None,
) -> Outcome:
    """Carry out *spec* and leave the lab running; a run that fails leaves nothing running.

    *hosts*: the machines that it runs on; None: the one engine that ``docker`` would use. *show* takes what
    was found out of them before the run. *say* takes each message for
    the person at the terminal; *interactive*: progress bars can be shown. Raises
    :class:`LabError` when the lab cannot be started, or its evidence cannot be had::

        spec = RunSpec(clients=2, scenario=load_scenario(text, name="short"))
        outcome = run_lab(spec, say=print, interactive=False)
        assert outcome.report.verdict is Verdict.PASS
    """
    watch = watch or Stopwatch()
    with watch.step("prepare"):
        foreign = any(not program.is_flume for program in spec.dealt)
        site = prepare.prepare_site(
            say, hosts=hosts, show=show, clients=spec.clients, interactive=interactive, players=foreign
        )
    with closing_unless_interrupted(site):
        return run_on(site, spec, say=say, interactive=interactive, watch=watch, hosts=hosts)


def run_on(
    site: Site,
    spec: RunSpec,
    *,
    say: Say,
    interactive: bool,
    watch: Stopwatch | None = None,
    leave_running: bool = True,
    hosts: HostsFile | None = None,
) -> Outcome:
    """Carry out *spec* on *site*, which :func:`~flume.lab.engines.prepare.prepare_site` returned; see :func:`run_lab`.

    For several runs after one preparation; *site* stays open. Without *leave_running* the lab is removed before its
    evidence is judged, so that it takes no CPU from that. While the lab is there, *hosts* are remembered
    for ``make down``.
    """
    watch = watch or Stopwatch()
    used = {site.host_of("client", number) for number in range(1, spec.clients + 1)}
    if spec.scenario.relays:
        check(len(used) <= topology.MAX_RELAYS, "hosts", len(used), f"at most {topology.MAX_RELAYS} with a relay each")
    layout = topology.load_file(spec.topology or checkout.lab_yaml())
    with only_one_everywhere(site, spec.lab, image=layout.service("probe").image):
        wires_on: tuple[str, ...] = ()
        if spec.needs_netem:
            with watch.step("prepare"):
                wires_on = prepare.hosts_with_wires(site, say, interactive=interactive)
        with watch.step("video"):
            plan = plan_run(spec, cpus=sum(host.engine.info.cpus for host in site.hosts))
            cache = checkout.cache()
            video = spec.video or ensure_test_card(cache, say=say, interactive=interactive, card=spec.card)
        if plan.note:
            say(plan.note)
        run = _Run(
            site,
            spec,
            plan,
            video,
            watch,
            wires_on=wires_on,
            say=say,
            interactive=interactive,
            leave_running=leave_running,
        )
        if hosts is not None:
            remember(cache, spec.lab, Path(hosts.file))
        return run.carry_out(layout)


class _Run:
    """One run on hosts that are ready."""

    def __init__(
        self,
        site: Site,
        spec: RunSpec,
        plan: RunPlan,
        video: Path,
        watch: Stopwatch,
        *,
        wires_on: Collection[str],
        say: Say,
        interactive: bool,
        leave_running: bool,
    ) -> None:
        self.name = artifacts.new_run_name()
        self._site = site
        self._hosts = HostWatch(site, say=say)
        self._clocks = RunClocks(site)
        self._spec = spec
        self._plan = plan
        self._video = video
        self._watch = watch
        self._wires_on = wires_on
        self._say = say
        self._interactive = interactive
        self._leave_running = leave_running
        self._queues: list[tuple[float, Collection[int], LinkQueue | None]] = [(0.0, (), network.queue(spec.profile))]
        self._restarts_s: list[float] = []
        self._timetable = timetable(spec.scenario, clients=spec.clients)
        if spec.profile.name != spec.scenario.profile:  # what it expects is meant of its own network
            self._timetable = self._timetable._replace(expected=())

    def carry_out(self, layout: Topology) -> Outcome:
        """Start, measure and judge; write the artefacts."""
        directory = artifacts.create_run_directory(self._spec.artifacts, self.name)
        try:
            with tempfile.TemporaryDirectory(dir=directory) as folder, Store(Path(folder) / "datagrams") as store:
                report = self._report(layout, directory, store)
            write_report(report, directory)
            artifacts.point_latest_at(directory)
        except BaseException as error:
            self._clean_up(directory, error)
            raise
        return Outcome(report, directory)

    def _report(self, layout: Topology, directory: Path, store: Store) -> Report:
        """Start, measure and judge; *store* keeps what left the server until the judge has seen it."""
        with self._watch.step("remove the last lab"):
            self._site.remove_lab(self._spec.lab)
        with self._watch.step("start"), self._task("starting server and clients"):
            fleet = self._start(layout)
        with self._hosts, contextlib.closing(fleet), fleet.naming_the_cause(lambda: self._hosts.lost):
            links = self._measure_links(fleet)
            evidence = self._measure(fleet, directory, store)
            steps = network.steps(self._remaining(fleet)) if self._spec.profile.steps else {}
        if not self._leave_running:
            with self._watch.step("remove the lab"):
                self._remove(self._site)
        checks = [*network.checks(self._spec.profile, links, steps), *collect.checks_of_lost(fleet, self._hosts.lost)]
        facts = run_facts(self.name, self._site, self._spec, fleet, video=self._video.name)
        facts = msgspec.structs.replace(
            facts, timings=dict(self._watch.steps), network=network.described(self._spec.profile, links)
        )
        with self._watch.step("judge"):
            report = judge_tree(evidence, facts, checks, store.packets)
        return msgspec.structs.replace(report, timings=dict(self._watch.steps))

    def _task(self, text: str, *, total: float | None = None) -> contextlib.AbstractContextManager[Task]:
        return task(text, total=total, interactive=self._interactive)

    def _clean_up(self, directory: Path, error: BaseException) -> None:
        """Remove the lab, because a lab that cannot be judged is of no use; keep its logs, which explain the error."""
        lab = self._spec.lab
        interrupted = not isinstance(error, Exception)
        with clearing_away(f"removing lab {lab!r}", self._left, down_command(lab)):
            if interrupted:
                self._say(f"Removing lab {lab!r}.")
            # On connections of its own: an interrupt may have come while a pooled connection was being handed out.
            with self._site.again(without=self._hosts.lost) as site:
                with contextlib.suppress(LabError):
                    collect.write_all_logs(site.find(lab=lab), directory / "logs")
                self._remove(site)
            artifacts.remove_if_empty(directory)
        if interrupted:
            self._say(f"Lab {lab!r} is removed.")

    def _remove(self, site: Site) -> None:
        """Remove the lab from the hosts that are there; what it has on others is said, and remembered."""
        lab = self._spec.lab
        away = site.missing | dict(self._hosts.lost)
        site.remove_lab(lab, without=away)
        for host in away:
            self._say(f"What host {host} has of lab {lab!r} stays there until it is back: {down_command(lab)}.")
        if not away:
            forget(checkout.cache(), lab)

    def _left(self) -> list[str]:
        with self._site.again(timeout_s=_LEFT_TIMEOUT_S, without=self._hosts.lost) as site:
            return site.names(self._spec.lab)

    def _start(self, layout: Topology) -> Fleet:
        """Return a fleet that is ready, with its links set. Its taps listen too, unless the links are measured first.

        Links, taps and programs are made ready at the same time, because each takes a second.
        """
        spec = self._spec
        fleet = start_fleet(
            self._site,
            layout,
            lab=spec.lab,
            run=self.name,
            clients=spec.clients,
            players=self._plan.players,
            video=self._video,
            programs=spec.dealt,
            options=spec.client_options,
            wires_on=self._wires_on,
            restartable=bool(spec.restarts),
            relays=spec.scenario.relays,
        )
        try:
            try:
                network.shape(fleet, spec.profile)
                if not spec.profile.needs_netem:
                    collect.start_taps(fleet)
            except LabError:
                # A program that has ended has no link and cannot be tapped; its own error explains more.
                fleet.wait_until_ready()
                with fleet.naming_the_cause():
                    raise
            fleet.wait_until_ready()
        except BaseException:
            fleet.close()
            raise
        return fleet

    def _measure_links(self, fleet: Fleet) -> tuple[LinkReport, ...]:
        """Measure links that netem shapes; start the taps after that.

        In this order the captures do not contain the traffic that measures, and no stream runs beside it.
        """
        profile = self._spec.profile
        if not profile.needs_netem:
            return ()
        with self._watch.step("measure the links"), self._task(f"measuring the links as {profile.name}"):
            reports = network.measure(fleet)
            collect.start_taps(fleet)
        return reports

    def _measure(self, fleet: Fleet, directory: Path, store: Store) -> dict[str, Evidence]:
        """Play the scenario; return the evidence from captures, counters and programs."""
        self._clocks.begin(fleet)
        started_s = self._clocks.now_s()
        with self._watch.step("scenario"), self._task(self._spec.scenario.name, total=self._timetable.end_s) as bar:
            for elapsed_s in self._play(fleet):
                bar.update(completed=elapsed_s)
            if self._spec.restarts:
                fleet.wait_until_restarted(self._spec.restarts, self._timetable.state_of)
            present = self._remaining(fleet)
            last = [(client, command) for client in present.clients if (command := client.last_command) is not None]
            for client, command in last:
                client.send(command)
        with self._watch.step("come to rest"):
            quiesce(present.clients, check=lambda: self._check(fleet))
            wait_until(lambda: all(relay.is_asleep for relay in present.relays), timeout_s=RELAYS_REST_S)
        with self._watch.step("collect"), self._task("fetching captures"):
            present = self._remaining(fleet)
            self._clocks.end(present)
            evidence = collect.gather(
                present,
                _with_last_commands(self._timetable, last),
                msgspec.structs.replace(self._plan.expectations, restarts_s=tuple(self._restarts_s)),
                started_s=started_s,
                port=DEFAULT_PORT,
                directory=directory,
                queues=self._queues,
                lost=fleet.gone_from(present),
                keep=store.keep,
                clocks=self._clocks.of(present),
            )
        if not self._leave_running:
            return evidence
        last = [(client, command) for client, command in last if client in present.clients]
        for client, command in last:
            client.send(Command.CONTINUE if command is Command.INTERRUPT else Command.CONNECT)
        if last:
            self._say(f"Measured; {len(last)} clients watch on.")
        return evidence

    def _play(self, fleet: Fleet) -> Iterator[float]:
        """Send every cue at its time; yield the elapsed seconds about ten times a second until the end.

        An event may come after the end of every part: it happens all the same.
        """
        began_s = time.monotonic()
        cues, events = list(self._timetable.cues), list(self._timetable.events)
        while (elapsed_s := time.monotonic() - began_s) < self._timetable.end_s or cues or events:
            fleet = self._remaining(fleet)
            while events and events[0].time_s <= elapsed_s:
                self._happen(events.pop(0).event, fleet)
            while cues and cues[0].time_s <= elapsed_s:
                cue = cues.pop(0)
                for client in fleet.clients:
                    if client.number == cue.client:
                        client.send(cue.command)
            if any(client.member.events.latest("first_frame") for client in fleet.clients):
                self._watch.mark("first picture", since_s=began_s)
                self._watch.mark("from Enter to the first picture")
            yield elapsed_s
            coming = [*(cue.time_s for cue in cues[:1]), *(event.time_s for event in events[:1])]
            next_s = min(coming, default=self._timetable.end_s)
            time.sleep(min(_CUE_TICK_S, max(0.0, next_s - elapsed_s)))

    def _remaining(self, fleet: Fleet) -> Fleet:
        """Return *fleet* without the hosts that were lost.

        Raises :class:`LabError` where the server's host was, or where a container on another host has ended.
        """
        lost = self._hosts.lost
        server = fleet.server.container.host
        if server in lost:
            raise HostLostError(f"host {server}, which ran the server, was lost during the run: {lost[server]}")
        present = fleet.without(lost)
        if any(member.has_ended() for member in present.members):
            # Its engine is asked for the reason at length, so first whether it answers.
            self._hosts.look()
            if self._hosts.lost.keys() != lost.keys():
                return self._remaining(fleet)
            present.check_running()
        return present

    def _check(self, fleet: Fleet) -> None:
        """Raise :class:`LabError` where a container of *fleet* has ended on a host that was not lost."""
        self._remaining(fleet)

    def _happen(self, event: Event, fleet: Fleet) -> None:
        """Do what the scenario has the lab do."""
        if event.profile is None:
            self._restarts_s.append(self._clocks.now_s())
            fleet.restart_server()
        else:
            profile = shaping_media(self._spec.later_profiles[event.profile], self._spec.client_options)
            present = [client.number for client in fleet.clients if client.number in event.clients or not event.clients]
            if present:
                network.change(fleet, profile, present)
            self._queues.append((self._clocks.now_s(), event.clients, network.queue(profile)))


def _with_last_commands(played: Timetable, last: Sequence[tuple[Client, Command]]) -> Timetable:
    """Return *played* with the commands that ended the measurement."""
    cues = tuple(Cue(played.end_s, client.number, command) for client, command in last)
    return played._replace(cues=(*played.cues, *cues))
