"""One run of the lab from Enter to the verdict, in steps whose times are measured and told.

The runner only puts the parts in order. What goes wrong in the lab itself becomes an ERROR, never a PASS.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.control.session import Command, State
from flume.errors import LabError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Topology
from flume.lab.engines import locate, prepare
from flume.lab.evidence.facts import Evidence
from flume.lab.link.links import LinkReport
from flume.lab.progress import Say, Task, task
from flume.lab.report.writer import write_report
from flume.lab.run import artifacts, collect, network
from flume.lab.run.fleet import Client, Fleet, settle, start_fleet
from flume.lab.run.lock import only_one
from flume.lab.run.scenario import Cue, Timetable, timetable
from flume.lab.run.spec import Order, Plan, plan
from flume.lab.run.stopwatch import Stopwatch
from flume.lab.testcard import ensure_test_card
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, RunFacts
from flume.settings import DEFAULT_PORT


class Outcome(NamedTuple):
    """A finished run."""

    report: Report
    directory: Path


def run_lab(order: Order, *, say: Say, interactive: bool, watch: Stopwatch | None = None) -> Outcome:
    """Carry out *order* and leave the lab running; whatever fails on the way leaves nothing behind.

    Raises :class:`LabError` when the lab itself cannot be had, or its evidence.
    """
    watch = watch or Stopwatch()
    layout = topology.load_file(order.topology or checkout.lab_yaml())
    with only_one(order.lab):
        with watch.step("prepare"):
            engine = prepare.prepare(say, interactive=interactive, netem=order.profile.needs_netem, engine=order.engine)
        with _closing(engine):
            with watch.step("video"):
                means = plan(order, cpus=engine.info.cpus)
                video = order.video or ensure_test_card(checkout.cache(), means.card, say=say, interactive=interactive)
            if means.note:
                say(means.note)
            return _Run(engine, order, means, video, watch, say=say, interactive=interactive).carry_out(layout)


@contextlib.contextmanager
def _closing(engine: Engine) -> Iterator[None]:
    """Close *engine* after the body, but not after an interrupt.

    That may have come while a lock of the HTTP library was held, and closing would wait for it for ever; the
    process ends anyway.
    """
    try:
        yield
    except Exception:
        engine.close()
        raise
    engine.close()


class _Run:
    """One run on an engine that is ready."""

    def __init__(
        self,
        engine: Engine,
        order: Order,
        means: Plan,
        video: Path,
        watch: Stopwatch,
        *,
        say: Say,
        interactive: bool,
    ) -> None:
        self.name = artifacts.new_run_name()
        self._engine = engine
        self._order = order
        self._means = means
        self._video = video
        self._watch = watch
        self._say = say
        self._interactive = interactive
        self._timetable = timetable(order.scenario, clients=order.clients)

    def carry_out(self, layout: Topology) -> Outcome:
        """Start, measure, judge and write down."""
        directory = artifacts.create_run_directory(self._order.artifacts, self.name)
        with self._watch.step("remove the last lab"):
            self._engine.remove_lab(self._order.lab)
            locate.remove_elsewhere(self._order.lab, self._engine, self._say)
        try:
            with self._watch.step("start"), self._task("starting server and clients"):
                fleet = self._start(layout)
            with contextlib.closing(fleet):
                links = self._shape(fleet)
                evidence = self._measure(fleet, directory)
            with self._watch.step("judge"):
                report = judge(evidence, self._facts(links), network.checks(links))
            write_report(report, directory)
            artifacts.point_latest_at(directory)
        except BaseException as error:
            self._clean_up(directory, error)
            raise
        return Outcome(report, directory)

    def _task(self, text: str, *, total: float | None = None) -> contextlib.AbstractContextManager[Task]:
        return task(text, total=total, interactive=self._interactive)

    def _clean_up(self, directory: Path, error: BaseException) -> None:
        """Leave nothing half-made: a lab that could not be judged is of no use to anybody. Its logs are."""
        if not isinstance(error, Exception):
            self._say(f"Removing lab {self._order.lab!r}.")
        # On connections of its own: an interrupt may have come while the others' were being handed out.
        with Engine.connect(environment={**os.environ, "DOCKER_HOST": self._engine.info.endpoint}) as engine:
            with contextlib.suppress(LabError):
                collect.write_all_logs(engine.find(lab=self._order.lab), directory / "logs")
            engine.remove_lab(self._order.lab)
        artifacts.remove_if_empty(directory)

    def _start(self, layout: Topology) -> Fleet:
        """Return a fleet that is ready and, where no link is to be shaped first, whose taps listen.

        Both take their time, so they overlap.
        """
        order = self._order
        fleet = start_fleet(
            self._engine,
            layout,
            lab=order.lab,
            run=self.name,
            clients=order.clients,
            players=self._means.players,
            video=self._video,
        )
        try:
            try:
                if not order.profile.needs_netem:
                    collect.start_taps(fleet)
            except LabError:
                fleet.wait_until_ready()  # a program that has ended cannot be tapped, and says better why
                raise
            fleet.wait_until_ready()
        except BaseException:
            fleet.close()
            raise
        return fleet

    def _shape(self, fleet: Fleet) -> tuple[LinkReport, ...]:
        """Put the profile's network between server and clients, measure it, and start the taps after that.

        The traffic that measures belongs neither into the captures nor beside a stream.
        """
        profile = self._order.profile
        with self._watch.step("shape the links"), self._task(f"measuring the links as {profile.name}"):
            reports = network.shape(fleet, profile)
            if profile.needs_netem:
                collect.start_taps(fleet)
        return reports

    def _measure(self, fleet: Fleet, directory: Path) -> Evidence:
        """Play the scenario and return what the captures, counters and programs say about it."""
        started_s = time.time()
        with self._watch.step("scenario"), self._task(self._order.scenario.name, total=self._timetable.end_s) as bar:
            for moment_s in self._play(fleet):
                bar.update(completed=moment_s)
            active = [client for client in fleet.clients if client.state == State.ACTIVE]
            for client in active:
                client.send(Command.INTERRUPT)
        with self._watch.step("come to rest"):
            settle(fleet.clients)
        with self._watch.step("collect"), self._task("fetching captures"):
            fleet.check_running()
            evidence = collect.gather(
                fleet,
                _with_last_interrupt(self._timetable, active),
                self._means.expectations,
                started_s=started_s,
                port=DEFAULT_PORT,
                directory=directory,
            )
        for client in active:
            client.send(Command.CONTINUE)
        if active:
            self._say(f"Measured; {len(active)} clients watch on.")
        return evidence

    def _play(self, fleet: Fleet) -> Iterator[float]:
        """Send every cue at its time; yield the time about ten times a second until the end."""
        began_s = time.monotonic()
        cues = list(self._timetable.cues)
        while (now_s := time.monotonic() - began_s) < self._timetable.end_s or cues:
            fleet.check_running()
            while cues and cues[0].time_s <= now_s:
                cue = cues.pop(0)
                fleet.clients[cue.client - 1].send(cue.command)
            if any(client.host.feed.latest("first_frame") for client in fleet.clients):
                self._watch.mark("first picture", since_s=began_s)
                self._watch.mark("from Enter to the first picture")
            yield now_s
            time.sleep(min(0.1, max(0.0, (cues[0].time_s if cues else self._timetable.end_s) - now_s)))

    def _facts(self, links: Sequence[LinkReport]) -> RunFacts:
        scenario = self._order.scenario
        return RunFacts(
            run=self.name,
            engine=msgspec.to_builtins(self._engine.info),
            timings=dict(self._watch.steps),
            network=network.described(self._order.profile, links),
            scenario={
                "name": scenario.name,
                "description": scenario.description,
                "duration_s": scenario.duration_s,
                "clients": self._order.clients,
                "video": self._video.name,
            },
        )


def _with_last_interrupt(plan: Timetable, active: list[Client]) -> Timetable:
    """Return *plan* with the interrupts that ended the measurement."""
    last = tuple(Cue(plan.end_s, client.number, Command.INTERRUPT) for client in active)
    return plan._replace(cues=(*plan.cues, *last))
