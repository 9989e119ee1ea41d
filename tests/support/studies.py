"""A study without a lab: runs that are reports written to disk."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from flume.lab.link.profile import Direction, Profile
from flume.lab.report.writer import JSON_NAME
from flume.lab.run.runner import Outcome
from flume.lab.run.scenario import Part, Scenario
from flume.lab.run.spec import RunSpec
from flume.lab.study.matrix import Study
from flume.lab.study.runner import Conductor, Parts
from flume.lab.trial.verdict import Report
from support.report_values import client, measures, network, playback, report, wire

STUDY = Study(description="Two <networks>", clients=2, repeats=2, profiles=("clean", "lossy-1"), name="mine")
SCENARIO = Scenario(description="", duration_s=5, part=(Part(name="watch", commands="connect; wait 100%"),))
PARTS = Parts(
    SCENARIO,
    {name: Profile(name=name, description="", down=Direction(), up=Direction()) for name in STUDY.profiles},
    {},
    {"scenario study": "s", "profile clean": "c", "profile lossy-1": "l"},
)


def usual_report(spec: RunSpec, number: int) -> Report:
    """Return what a run of *spec* would report: no loss on ``clean``, some 1 % and freezes elsewhere."""
    shift = 0.1 * (number % 3)
    if spec.profile.name == "clean":
        parts: dict[str, Any] = {"wire": wire(), "playback": playback(join_ms=500 + 10 * shift), "vmaf": 95 - shift}
    else:
        parts = {"wire": wire(lost=10 + number % 3), "playback": playback(0.4 + shift), "vmaf": 80 - 10 * shift}
    clients = [client(index, measures=measures(**parts)) for index in range(1, spec.clients + 1)]
    return report(*clients, network=None if spec.profile.name == "clean" else network(spec.profile.name))


class FakeLab:
    """Carries out runs: each call takes ten seconds of :meth:`clock`, and writes a report as a run does."""

    def __init__(self, reports: Callable[[RunSpec, int], Report | BaseException] = usual_report) -> None:
        self.specs: list[RunSpec] = []
        self.said: list[str] = []
        self._reports = reports
        self._names = itertools.count(1)
        self._now_s = 0.0

    def clock(self) -> float:
        return self._now_s

    def run_one(self, spec: RunSpec) -> Outcome:
        self.specs.append(spec)
        self._now_s += 10
        made = self._reports(spec, len(self.specs))
        if isinstance(made, BaseException):
            raise made
        directory = spec.artifacts / f"run-{len(list(spec.artifacts.glob('*'))) + 1}"
        directory.mkdir(parents=True)
        (directory / JSON_NAME).write_bytes(msgspec.json.encode(made))
        return Outcome(made, directory)

    def conductor(self, folder: Path, study: Study = STUDY, parts: Parts = PARTS) -> Conductor:
        return Conductor(study, parts, folder, say=self.said.append, clock=self.clock)
