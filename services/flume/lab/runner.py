"""One run of the lab from Enter to the verdict, in steps whose times are measured and told.

The runner only puts the parts in order. What goes wrong in the lab itself becomes an ERROR, never a PASS.
"""

import contextlib
import fcntl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.control.session import Command, State
from flume.errors import LabError, SettingsError
from flume.lab import artifacts, collect, setup, topology
from flume.lab.engine import Engine
from flume.lab.evidence import Evidence, Expectations
from flume.lab.fleet import Client, Fleet, settle, start_fleet
from flume.lab.images import project_root
from flume.lab.judge import judge
from flume.lab.progress import Say, task
from flume.lab.report import write_report
from flume.lab.scenario import Cue, Scenario, Timetable, timetable
from flume.lab.testcard import generate
from flume.lab.verdict import Report, RunFacts
from flume.settings import DEFAULT_PORT, check

MAX_CLIENTS = 200
TEST_CARD_S = 60.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for."""

    clients: int
    scenario: Scenario
    lab: str = "default"
    video: Path | None = None
    expectations: Expectations = Expectations()
    artifacts: Path = Path("artifacts")
    server_command: tuple[str, ...] = ()
    """Instead of the topology's: how the tests put a broken server on trial."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is started."""
        check(1 <= self.clients <= MAX_CLIENTS, "clients", self.clients, f"1 to {MAX_CLIENTS}")
        topology.check_lab_name(self.lab)
        if self.video is not None:
            check(self.video.is_file(), "video", str(self.video), "a file that exists; give the path of your video")
            check(self.video.stat().st_size > 0, "video", str(self.video), "not an empty file: this one has 0 bytes")


class Outcome(NamedTuple):
    """A finished run."""

    report: Report
    directory: Path


class Stopwatch:
    """Measures the steps of a run."""

    def __init__(self) -> None:
        """Begin now."""
        self.steps: dict[str, float] = {}
        self._began_s = time.monotonic()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time that the body takes to step *name*."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.steps[name] = round(self.steps.get(name, 0.0) + time.monotonic() - began_s, 3)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_s


def run_lab(order: Order, *, say: Say, interactive: bool) -> Outcome:
    """Carry out *order* and leave the lab running; whatever fails on the way leaves nothing behind.

    Raises :class:`LabError` when the lab itself cannot be had.
    """
    watch = Stopwatch()
    with _only_one(order.lab):
        with watch.step("prepare"):
            engine = setup.prepare(say, interactive=interactive)
        with engine:
            with watch.step("video"):
                video = order.video or test_card(project_root() / ".cache", say=say, interactive=interactive)
            return _run_on(engine, order, video, watch, say=say, interactive=interactive)


def _run_on(engine: Engine, order: Order, video: Path, watch: Stopwatch, *, say: Say, interactive: bool) -> Outcome:
    run = artifacts.new_run_name()
    plan = timetable(order.scenario, clients=order.clients)
    layout = topology.load((project_root() / "compose" / "lab.yaml").read_text())
    with watch.step("remove the last lab"):
        engine.remove_lab(order.lab)
    directory = artifacts.create_run_directory(order.artifacts, run)
    try:
        with watch.step("start"), task("starting server and clients", interactive=interactive):
            fleet = start_fleet(
                engine,
                layout,
                lab=order.lab,
                run=run,
                clients=order.clients,
                video=video,
                server_command=order.server_command,
            )
        with contextlib.closing(fleet):
            evidence = _measure(fleet, order, plan, directory, watch, say=say, interactive=interactive)
        with watch.step("judge"):
            report = judge(evidence, _facts(engine, order, run, video, watch))
        write_report(report, directory)
        artifacts.point_latest_at(directory)
    except BaseException:
        # Nothing half-made stays running: a lab that could not be judged is of no use to anybody. Its logs are.
        with contextlib.suppress(LabError, OSError):
            collect.write_all_logs(engine.find(lab=order.lab), directory / "logs")
        engine.remove_lab(order.lab)
        raise
    return Outcome(report, directory)


def _measure(
    fleet: Fleet, order: Order, plan: Timetable, directory: Path, watch: Stopwatch, *, say: Say, interactive: bool
) -> Evidence:
    with watch.step("taps"):
        collect.start_taps(fleet)
    started_s = time.time()
    with watch.step("scenario"), task(order.scenario.name, total=plan.end_s, interactive=interactive) as bar:
        began_s = time.monotonic()
        for moment_s in _play(fleet, plan):
            bar.update(completed=moment_s)
            _tell_first_picture(fleet, watch, began_s)
        active = [client for client in fleet.clients if client.state == State.ACTIVE]
        for client in active:
            client.send(Command.INTERRUPT)
    with watch.step("come to rest"):
        settle(fleet.clients)
    with watch.step("collect"), task("fetching captures", interactive=interactive):
        ends = collect.stop_taps(fleet)
        evidence = collect.gather(
            fleet,
            _with_last_interrupt(plan, active),
            order.expectations,
            ends=ends,
            started_s=started_s,
            port=DEFAULT_PORT,
            directory=directory,
        )
        collect.write_all_logs(fleet.containers, directory / "logs")
    for client in active:
        client.send(Command.CONTINUE)
    if active:
        say(f"Measured; {len(active)} clients watch on.")
    return evidence


def _play(fleet: Fleet, plan: Timetable) -> Iterator[float]:
    """Send every cue at its time; yield the time about ten times a second until the end."""
    began_s = time.monotonic()
    cues = list(plan.cues)
    while (now_s := time.monotonic() - began_s) < plan.end_s or cues:
        while cues and cues[0].time_s <= now_s:
            cue = cues.pop(0)
            client = fleet.clients[cue.client - 1]
            if client.host.has_ended():
                raise LabError(f"{client.name} ended during the run; its last words: {client.host.feed.last_words()}")
            client.send(cue.command)
        yield now_s
        time.sleep(min(0.1, max(0.0, (cues[0].time_s if cues else plan.end_s) - now_s)))


def _tell_first_picture(fleet: Fleet, watch: Stopwatch, began_s: float) -> None:
    if "first picture" not in watch.steps and any(client.host.feed.latest("first_frame") for client in fleet.clients):
        watch.steps["first picture"] = round(time.monotonic() - began_s, 3)
        watch.steps["from Enter to the first picture"] = round(watch.elapsed_s, 3)


def _with_last_interrupt(plan: Timetable, active: list[Client]) -> Timetable:
    """Return *plan* with the interrupts that ended the measurement."""
    last = tuple(Cue(plan.end_s, client.number, Command.INTERRUPT) for client in active)
    return plan._replace(cues=(*plan.cues, *last))


def _facts(engine: Engine, order: Order, run: str, video: Path, watch: Stopwatch) -> RunFacts:
    return RunFacts(
        run=run,
        engine=msgspec.to_builtins(engine.info),
        timings=dict(watch.steps),
        scenario={
            "name": order.scenario.name,
            "description": order.scenario.description,
            "duration_s": order.scenario.duration_s,
            "clients": order.clients,
            "video": video.name,
        },
    )


def test_card(cache: Path, *, say: Say, interactive: bool) -> Path:
    """Return the test card, made once: 720p25 at 4 Mbit/s, a minute long.

    MP4, because libvlc reads it to the very last picture, so that the loop shows every number.
    """
    path = cache / f"test-card-720p25-4000k-{TEST_CARD_S:g}s.mp4"
    if not path.exists():
        say("Making the test card: 720p, 4 Mbit/s, a burnt-in frame counter and a tone (once).")
        with task("test card", total=1.0, interactive=interactive) as bar:
            generate(path, duration_s=TEST_CARD_S, progress=lambda share: bar.update(completed=share))
    return path


@contextlib.contextmanager
def _only_one(lab: str) -> Iterator[None]:
    """Hold the lock of lab *lab*; raises :class:`LabError` while another run has it. A killed run lets go of it."""
    path = Path(tempfile.gettempdir()) / f"flumelab-{topology.check_lab_name(lab)}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(
                f"another run of lab {lab!r} is under way: wait for its end, or give this one another name (LAB=name)"
            ) from error
        yield


def parse_clients(text: str) -> int:
    """Return the number of clients in *text*; raises :class:`SettingsError` for anything that is not one."""
    try:
        return int(text)
    except ValueError:
        raise SettingsError("clients", text, f"a number from 1 to {MAX_CLIENTS}") from None
