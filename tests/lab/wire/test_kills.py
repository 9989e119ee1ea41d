"""Parts of a run are killed at random moments: after `make down` nothing is left, and the next run passes."""

import contextlib
import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Role
from flume.lab.machine.process import wait_until
from support.labs.labs import LabUnderTest, new_lab

pytestmark = [pytest.mark.docker, pytest.mark.timeout(200)]

RUN = ("--clients", 2, "--players", 0, "--scenario", "steady", "--duration", 4, "--profile", "lossy-5")
PARTS: dict[str, Role | None] = {
    "launcher": "wire",
    "kernel": "wire",
    "helper": "wire",
    "client": "client",
    "server": "server",
    "probe": "probe",
    "runner": None,
}
"""What is killed, and the role of its container."""
KILLS = int(os.environ.get("FLUME_KILLS", "3"))
"""How many runs are killed: more by hand."""


@pytest.fixture
def lab(wire_engine: Engine, tmp_path: Path) -> Iterator[LabUnderTest]:
    """A lab for one test."""
    with new_lab(wire_engine, tmp_path / "artifacts") as lab:
        yield lab


def victim(engine: Engine, lab: str, part: str, runner: int, dice: random.Random) -> int | None:
    """Return the process to kill; None while there is no such part."""
    role = PARTS[part]
    if role is None:
        return runner
    found = [one.pid for one in engine.find(lab=lab, role=role) if one.pid]
    if not found:
        return None
    pid = dice.choice(found)
    if part in {"kernel", "helper"}:
        kernel = sorted(children(pid))
        inside = kernel if part == "kernel" else [one for parent in kernel for one in children(parent)]
        return dice.choice(inside) if inside else None
    return pid


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started and that still run."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.mark.needs_root("signals to processes in containers")
@pytest.mark.parametrize("number", range(KILLS))
def test_whatever_is_killed_down_leaves_nothing_and_no_run_passes_without_its_links(lab, wire_engine, number):
    seed = secrets.randbits(32)
    dice = random.Random(seed)
    part, after_s = dice.choice(list(PARTS)), dice.uniform(0, 8)
    process = lab.start(*RUN)
    time.sleep(after_s)
    found: list[int] = []

    def kill() -> bool:
        pid = victim(wire_engine, lab.name, part, process.pid, dice)
        if pid is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                found.append(pid)
        return bool(found) or process.poll() is not None

    assert wait_until(kill, timeout_s=60)
    killed_s = time.monotonic()
    stdout, stderr = process.communicate(timeout=90)
    case = f"seed {seed}: {part} {found} after {after_s:.2f} s and more, status {process.returncode}"
    print(f"{case}; ended {time.monotonic() - killed_s:.1f} s later: {stderr.splitlines()[-1:]}")
    if found and part in {"launcher", "client", "server", "probe"} and "verdict" not in stdout:
        assert process.returncode == 3, case + stdout + stderr
    down = lab.make("down")
    assert down.returncode == 0, case + down.stderr
    lab.assert_nothing_left(case)
    again = lab.run(*RUN)
    assert again.returncode == 0, case + again.stdout + again.stderr
