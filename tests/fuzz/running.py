"""Runs targets, each in a process of its own, and reads what libFuzzer says at the end."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzz.targets import CORPUS, MAX_BYTES
from support.paths import ROOT

TIMEOUT_S, MEMORY_MIB = 10, 1024
"""Most time and memory of one input. None here takes a hundredth of either."""

_EXECUTIONS = re.compile(r"^(?:stat::number_of_executed_units:\s*(\d+)|#(\d+)\s)", re.MULTILINE)
_COVERAGE = re.compile(r"\bcov: (\d+)")
_FAILING = re.compile(r"Test unit written to (\S+)")


class Outcome(NamedTuple):
    """What became of one target."""

    target: str
    status: int
    """0: every input was taken."""
    executions: int
    coverage: int
    """Branches of the product that were seen."""
    failing: Path | None
    """The input that failed."""
    log: Path


def command(target: str, folders: Sequence[Path], options: Sequence[str]) -> list[str]:
    """Return the command that fuzzes *target*: new inputs go into the first of *folders*."""
    limits = [f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    return [sys.executable, "-m", "fuzz.worker", target, *limits, *options, *map(str, folders)]


def environment() -> dict[str, str]:
    """Return the environment in which the command finds product and tests."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}"}


def run(target: str, folder: Path, *, seconds: int) -> Outcome:
    """Fuzz *target* for *seconds*; what is found is kept in *folder*, which the next run begins with."""
    grown, failures, log = folder / "corpus" / target, folder / "failing", folder / f"{target}.log"
    for each in (grown, failures):
        each.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={failures}/{target}-"]
    begun_s = time.time()
    with log.open("wb") as file:
        done = subprocess.run(
            command(target, [grown, CORPUS / target], options), stdout=file, stderr=file, env=environment(), check=False
        )
    said = log.read_text(errors="replace")
    fresh = [path for path in failures.glob(f"{target}-*") if path.stat().st_mtime >= begun_s - 1]
    return outcome(target, done.returncode, said, fresh, log)


def outcome(target: str, status: int, said: str, fresh: Sequence[Path], log: Path) -> Outcome:
    """Return what libFuzzer has *said*, in one value; *fresh* are the failing inputs that it may have written."""
    executions = max((int(one or other) for one, other in _EXECUTIONS.findall(said)), default=0)
    coverage = max(map(int, _COVERAGE.findall(said)), default=0)
    named = _FAILING.search(said)
    failing = Path(named[1]) if named else next(iter(fresh), None)
    return Outcome(target, status, executions, coverage, failing, log)


def run_all(targets: Sequence[str], folder: Path, *, seconds: int, side_by_side: int) -> list[Outcome]:
    """Fuzz each of *targets* for *seconds*, *side_by_side* at a time."""
    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(lambda target: run(target, folder, seconds=seconds), targets))
