"""A wire that is broken: its container ends, the links end with it, and nothing of them is left."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.machine.process import wait_until
from support.cpu_time import cpu_s
from support.labs.containers import load_layout
from support.labs.wired import WiredLab, start_wired

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

GONE_S = 60
"""Longest time for the kernel to remove a namespace's interfaces while other labs end too."""


def ports(wired: WiredLab) -> set[str]:
    """Return the ports on Docker's bridge that lead to the wire."""
    return {name for name in wired.interfaces(wired.probe.container) if name.startswith(f"fw{wired.wire.pid}-")}


def assert_all_has_ended(wired: WiredLab) -> None:
    """The container has ended. So have the links: their ports on the bridge and the clients' ends."""
    assert wired.wire.wait(timeout_s=20) != 0
    # One thread of the kernel takes down namespace after namespace, and the second end of a pair after the first.
    assert wait_until(lambda: ports(wired) == set(), timeout_s=GONE_S)
    assert wait_until(lambda: all(wired.interfaces(one) == {"lo"} for one in wired.clients), timeout_s=GONE_S)


@pytest.mark.needs_root("signals to processes in containers")
def test_when_the_kernel_is_killed_the_container_says_so_and_ends(own_wired: WiredLab) -> None:
    assert len(ports(own_wired)) == 2
    os.kill(own_wired.kernel_processes()[0], signal.SIGKILL)
    ended = own_wired.event()
    assert ended["event"] == "ended"
    assert ended["reason"].startswith("the kernel was killed by signal 9")
    assert_all_has_ended(own_wired)


KILL_FIRST_KERNEL = """
import contextlib, os, time
os.setgroups([]); os.setresgid(10001, 10001, 10001); os.setresuid(10001, 10001, 10001)  # the kernel's user
while True:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as command:
            if command.read().partition("\\0")[0].endswith("linux.uml"):
                os.kill(int(pid), 9)
                raise SystemExit
    time.sleep(0.005)
"""
"""Waits in the wire's container for the kernel, which takes a second and more to boot, and kills it."""


def beside_a_killer(command: Sequence[str]) -> Sequence[str]:
    """Return a command that is *command*, beside a process that kills the first kernel."""
    return ("sh", "-c", 'python3 -ISc "$0" & exec "$@"', KILL_FIRST_KERNEL, *command)


def test_a_kernel_that_ends_while_it_boots_is_booted_again_and_carries_each_frame_once(wire_engine: Engine) -> None:
    name = f"test-{os.getpid()}-booted-again"
    try:
        wired = start_wired(wire_engine, load_layout(), name, clients=2, command=beside_a_killer)
        log = wired.wire.logs()
        assert "wire: before it was ready, the kernel was killed by signal 9" in log
        assert "booting it again, attempt 2 of 3" in log
        before = wired.received()
        sent = wired.send(rate=2000, seconds=1)
        assert wait_until(lambda: wired.received() == [count + sent for count in before], timeout_s=10)
    finally:
        wire_engine.remove_lab(name)


@pytest.mark.needs_root("signals to processes in containers")
def test_when_the_launcher_is_killed_the_kernel_ends_with_it(own_wired: WiredLab) -> None:
    """It is the container's first process, so the engine's kernel kills all others."""
    kernel = own_wired.kernel_processes()
    os.kill(own_wired.wire.pid, signal.SIGKILL)
    assert_all_has_ended(own_wired)
    assert [pid for pid in kernel if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.needs_root("signals to processes in containers")
def test_when_a_helper_of_the_kernel_is_killed_frames_pass_or_all_ends(own_wired: WiredLab, number: int) -> None:
    """Two helpers do what a wire needs none of, one is the address space of the agent, one that of tc."""
    before = own_wired.received()
    os.kill(own_wired.kernel_processes()[number], signal.SIGKILL)
    if wait_until(lambda: own_wired.wire.state().status == "exited", timeout_s=2):
        assert own_wired.event()["event"] == "ended"
        assert_all_has_ended(own_wired)
        return
    sent = own_wired.send(rate=2000, seconds=1)
    assert wait_until(lambda: own_wired.received() == [count + sent for count in before], timeout_s=10)
    own_wired.ask({"do": "tc", "lines": "qdisc show\n"})  # fails if it was tc
    assert "output" in own_wired.ask({"do": "tc", "lines": "qdisc show\n"})


@pytest.mark.needs_root("signals to processes in containers")
def test_a_kernel_that_stands_still_is_answered_for_and_works_when_it_goes_on(own_wired: WiredLab) -> None:
    request = {"do": "tc", "lines": "qdisc show dev vec0\n"}
    kernel = own_wired.kernel_processes()[0]
    os.kill(kernel, signal.SIGSTOP)
    assert own_wired.ask(request) == {"error": "the kernel of the wire did not answer within 5 s"}
    assert own_wired.ask({"do": "status"})["links"] == 6
    os.kill(kernel, signal.SIGCONT)
    assert "output" in own_wired.ask(request)


def test_it_stops_when_it_is_asked_to(own_wired: WiredLab) -> None:
    """SIGTERM is enough: the engine need not kill it."""
    own_wired.wire.stop(timeout_s=20)
    assert own_wired.wire.state().exit_code == 0
    assert wait_until(lambda: ports(own_wired) == set(), timeout_s=10)


def test_a_client_that_goes_while_frames_are_on_their_way_costs_no_cpu(own_wired: WiredLab) -> None:
    """The kernel of the wire tries for ever to send to an interface that has gone: one of two CPUs was busy with it."""
    kernel = own_wired.kernel_processes()[0]
    own_wired.clients[0].remove()
    own_wired.send(rate=2000, seconds=1)
    time.sleep(2)
    before_s = cpu_s(kernel)
    time.sleep(2)
    assert cpu_s(kernel) - before_s < 0.6, "of 2 s"
