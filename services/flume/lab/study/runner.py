"""Goes through the runs of a study that are not done: one after the other, each recorded as soon as it is over.

::

    for each run of the matrix ──▶ is it done? ──no──▶ run it ──▶ record it ──▶ again, where it does not count (once)
                                        │ yes
                                        ▼ next

After ``kill -9`` the run that was under way is lost, and no other. What carries out a run is passed in, so that all of
this is tested without a lab.
"""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from flume.errors import LabError, SettingsError
from flume.lab.link.profile import Profile
from flume.lab.progress import Say
from flume.lab.run.programs import ClientOptions
from flume.lab.run.runner import Outcome
from flume.lab.run.scenario import Scenario
from flume.lab.run.spec import RunSpec, shaping_media
from flume.lab.study import state as states
from flume.lab.study.matrix import Cell, PlannedRun, Study, runs, title
from flume.lab.study.state import DoneRun, State
from flume.lab.testcard import CARD
from flume.lab.trial.verdict import Report, Verdict

RunOne = Callable[[RunSpec], Outcome]
"""Carries out one run, and leaves no lab. Raises :class:`LabError`."""

OVERHEAD_S = 40.0
"""What a run takes beside its scenario: the first estimate of the time left. After that, the mean of what runs took."""

_LOCK = ".lock"


class Parts(NamedTuple):
    """What a study's file names, read: the same for all its runs."""

    scenario: Scenario
    profiles: Mapping[str, Profile]
    later_profiles: Mapping[str, Profile]
    """The networks that the scenario's events name."""
    inputs: Mapping[str, str]
    """Digest of each file, see :class:`~flume.lab.study.state.State`."""


class Conductor:
    """Conducts one study in one folder.

    Example::

        conductor = Conductor(study, parts, folder, say=print)
        conductor.begin(resume=False)
        conductor.conduct(run_one)
    """

    def __init__(
        self,
        study: Study,
        parts: Parts,
        folder: Path,
        *,
        say: Say,
        lab: str = "study",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*folder* is the study's own; *say* takes each line for the person; *lab* is the name of its labs."""
        self.study = study
        self.folder = folder
        self.state = State(study=study, inputs=dict(parts.inputs))
        self._parts = parts
        self._say = say
        self._lab = lab
        self._clock = clock

    def begin(self, *, resume: bool) -> None:
        """Load what was done before. Raises :class:`SettingsError` where that and *resume* do not fit together."""
        name = self.folder.name.removeprefix("study-")
        before = states.load(self.folder)
        if before is None:
            if resume:
                raise SettingsError("resume", name, f"the name of a study that was begun; {self.folder} has none")
            states.save(self.state, self.folder)
            return
        if not resume:
            left = sum(not before.is_done(planned) for planned in runs(before.study))
            has = f"{left} runs are left: go on with it by --resume (RESUME=1)" if left else "every run is done"
            raise SettingsError("name", name, f"a name that no study has; of this one {has}, or give another name")
        states.check_same(before, self.study, self._parts.inputs, name=name)
        self.state = replace(before, study=self.study, interrupted=False)
        done = len(list(runs(self.study))) - self.left
        self._say(f"Going on with study {name}: {done} runs are done, {self.left} are left.")

    @property
    def left(self) -> int:
        """How many runs are not done."""
        return sum(not self.state.is_done(planned) for planned in runs(self.study))

    def conduct(self, run_one: RunOne) -> None:
        """Carry out by *run_one* what is not done. Raises :class:`LabError` where labs cannot be run here at all.

        An interrupt is recorded, and passed on.
        """
        try:
            for number, planned in enumerate(runs(self.study), 1):
                while not self.state.is_done(planned):
                    self._say(self._progress(number, planned))
                    self._record(self._attempt(planned, run_one))
        except KeyboardInterrupt:
            self.state = replace(self.state, interrupted=True)
            states.save(self.state, self.folder)
            raise

    def _attempt(self, planned: PlannedRun, run_one: RunOne) -> DoneRun:
        """Carry out *planned* once; return what is to be recorded of it."""
        began_s = self._clock()
        attempt = len(self.state.attempts(planned)) + 1
        try:
            outcome = run_one(self._spec(planned.cell))
        except LabError as error:
            if attempt == states.MOST_ATTEMPTS and not self.state.attempts(planned)[-1].run:
                raise  # twice in a row: it is no passing cause
            self._say(f"  this run failed, and is repeated: {error}")
            return self._done(planned, attempt, began_s, run="", verdict=Verdict.ERROR, trouble=str(error))
        trouble = trouble_of(outcome.report)
        if trouble:
            again = "and is repeated" if attempt < states.MOST_ATTEMPTS else "for the second time: it goes on without"
            self._say(f"  this run does not count, {again}: {trouble}")
        return self._done(
            planned, attempt, began_s, run=outcome.directory.name, verdict=outcome.report.verdict, trouble=trouble
        )

    def _done(
        self, planned: PlannedRun, attempt: int, began_s: float, *, run: str, verdict: str, trouble: str
    ) -> DoneRun:
        return DoneRun(
            cell=planned.cell.key,
            repeat=planned.repeat,
            attempt=attempt,
            run=run,
            verdict=str(verdict),
            seconds=round(self._clock() - began_s, 1),
            trouble=trouble,
        )

    def _record(self, done: DoneRun) -> None:
        self.state = replace(self.state, done=(*self.state.done, done))
        states.save(self.state, self.folder)

    def _spec(self, cell: Cell) -> RunSpec:
        options = ClientOptions(cell.transport, cell.reorder_ms)
        return RunSpec(
            clients=self.study.clients,
            scenario=self._parts.scenario,
            profile=shaping_media(self._parts.profiles[cell.profile], options),
            later_profiles=dict(self._parts.later_profiles),
            card=CARD._replace(bitrate_kbit=cell.bitrate_kbit, gop_s=cell.gop_s),
            client_options=options,
            lab=self._lab,
            artifacts=self.folder / cell.key,
        )

    def _progress(self, number: int, planned: PlannedRun) -> str:
        total = len(list(runs(self.study)))
        taken = [one.seconds for one in self.state.done]
        each_s = sum(taken) / len(taken) if taken else self._parts.scenario.duration_s + OVERHEAD_S
        again = ", once more" if self.state.attempts(planned) else ""
        repeat = f", repeat {planned.repeat} of {self.study.repeats}" if self.study.repeats > 1 else ""
        left = _minutes(each_s * self.left)
        return f"run {number} of {total}: {title(self.study, planned.cell)}{repeat}{again}; about {left} left"


def _minutes(seconds: float) -> str:
    """Return *seconds* as a person says it.

    >>> _minutes(42), _minutes(400)
    ('1 min', '7 min')
    """
    return f"{max(1, round(seconds / 60))} min"


def trouble_of(report: Report) -> str:
    """Return why the figures of *report* do not count; empty where they do.

    A link that was not as its profile says measured another network. ERROR says that nothing is known about the run.
    FAIL counts: it is what the network did to the product.
    """
    for figure in report.network.figures if report.network else ():
        if figure.problem:
            return f"the link of {figure.client} ({figure.direction}) was out of tolerance: {figure.problem}"
    if report.verdict is Verdict.ERROR:
        wrong = [check for check in report.checks if check.verdict is Verdict.ERROR]
        return "; ".join(f"{check.subject}, {check.name}: {check.detail}" for check in wrong[:2]) or "verdict ERROR"
    return ""


@contextlib.contextmanager
def only_one_here(folder: Path) -> Iterator[None]:
    """Hold *folder* in the body, so that no two processes write one study; the kernel lets go when a process dies.

    Raises :class:`LabError` where another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("w")
    except OSError as error:
        raise LabError(f"{folder} cannot be written: {error.strerror}; choose another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabError(f"another process works on this study ({folder}): wait for its end") from error
        yield
