"""The process that makes the steps of all links: what it does at which moment, what it counts, and when it ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from probe import emulators, links, stepping
from probe.commands import ProbeError
from probe.emulators import Shaping
from probe.links import Link

PERIOD_S = 10.0
STEPS = f"{PERIOD_S}\ndown 0.0 qdisc a LINK\ndown 4.0 qdisc b LINK\nup 1.0 qdisc c LINK\nup 6.0 qdisc d LINK\n"


class Kernel:
    """Records what is set, at moments of a clock that only :meth:`sleep` and *takes_s* move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.5
        self.wall_set_s = 0.0
        self.takes_s = 0.01
        self.set: list[tuple[float, int, str]] = []
        self.gone: set[int] = set()
        self.after_sleep: Callable[[], None] = lambda: None
        monkeypatch.setattr(emulators, "change", self.change)
        clocks = {"time": lambda: self.now_s + self.wall_set_s, "monotonic": lambda: self.now_s - 900}
        monkeypatch.setattr(stepping, "time", SimpleNamespace(**clocks, time_ns=time.time_ns))
        monkeypatch.setattr(signal, "sigtimedwait", self.sleep)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
        monkeypatch.setattr(Link, "exists", property(lambda link: link.number not in self.gone))

    def change(self, work: Sequence[Shaping]) -> None:
        for one in work:
            if one.link.number in self.gone:
                raise ProbeError("Cannot find device")
            words = [line[1] for line in (*one.down, *one.up)]
            self.set.append((round(self.now_s - 1000, 1), one.link.number, "".join(words)))
        if work:
            self.now_s += self.takes_s

    def sleep(self, _signals: object, timeout_s: float) -> None:
        self.now_s += timeout_s
        self.after_sleep()


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """An empty memory, in which links 1 and 2 exist."""
    monkeypatch.setattr(links, "STATE", str(tmp_path))
    for number in (1, 2):
        links.remember(Link(number, 4711, f"veth{number}"))
    links.write("slow", "steps", STEPS)
    return Kernel(monkeypatch)


def plan(*numbers: int, key: str = "slow", since_ns: int = 0) -> None:
    rows = [stepping.Planned(number, key, since_ns) for number in numbers]
    links.write("all", "plan", "".join(" ".join(map(str, row)) + "\n" for row in rows))
    links.write("all", "follower", str(os.getpid()))


def follow_until(kernel: Kernel, end_s: float) -> list[tuple[float, int, str]]:
    """Follow the plan until *end_s* of the clock; then empty it. Return what was set."""

    def forget() -> None:
        if kernel.now_s - 1000 >= end_s:
            stepping.forget([1, 2])

    kernel.after_sleep = forget
    stepping.follow()
    return kernel.set


def test_each_direction_is_set_at_its_own_moments_and_first_to_what_holds_now(kernel: Kernel) -> None:
    plan(1)
    assert follow_until(kernel, 12) == [
        *((0.5, 1, "ad"), (1, 1, "c"), (4, 1, "b"), (6, 1, "d")),
        *((10, 1, "a"), (11, 1, "c")),
    ]


def test_all_links_change_by_one_request(kernel: Kernel) -> None:
    plan(1, 2)
    moments = [at_s for at_s, _, _ in follow_until(kernel, 5)]
    assert moments == [0.5, 0.5, 1, 1, 4, 4]


def test_steps_are_counted_and_how_late_they_were(kernel: Kernel) -> None:
    plan(1)
    follow_until(kernel, 12)
    assert links.read("all", "timing") == "1 5 0 10\n", "the first setting is not a step: it began before"


def test_a_step_that_was_made_after_the_next_one_was_due_is_late(kernel: Kernel) -> None:
    """Steps last 4 and 6 s. Setting takes 5 s: the one at 0 s ends when the one at 4 s is due already."""
    kernel.takes_s, kernel.now_s = 5, 995
    links.write("down", "steps", f"{PERIOD_S}\ndown 0.0 qdisc a LINK\ndown 4.0 qdisc b LINK\n")
    plan(1, key="down")
    assert follow_until(kernel, 14) == [(-5, 1, "b"), (0, 1, "a"), (5, 1, "b"), (10, 1, "a")]
    assert links.read("all", "timing") == "1 3 3 6004\n", "b ends when a is due, and a after b was due"


def test_a_step_that_was_left_out_is_late_too(kernel: Kernel) -> None:
    """Setting takes two periods."""
    kernel.takes_s = 20
    plan(1)
    follow_until(kernel, 30)
    due, late, latest_ms = map(int, links.read("all", "timing").split()[1:])
    assert (due, late) == (8, 8), "four steps of each direction in two periods"
    assert latest_ms >= 20_000


@pytest.mark.parametrize("set_s", [3600.0, -3600.0, 4.0], ids=["an hour on", "an hour back", "a step on"])
def test_a_wall_clock_that_is_set_changes_no_step_and_makes_none_late(kernel: Kernel, set_s: float) -> None:
    plan(1)

    def clock_is_set() -> None:
        if kernel.now_s > 1002:
            kernel.wall_set_s = set_s
        if kernel.now_s > 1012:
            stepping.forget([1])

    kernel.after_sleep = clock_is_set
    stepping.follow()
    assert kernel.set[1:] == [(1, 1, "c"), (4, 1, "b"), (6, 1, "d"), (10, 1, "a"), (11, 1, "c")]
    assert links.read("all", "timing") == "1 5 0 10\n"


def test_a_link_that_was_set_again_begins_anew(kernel: Kernel) -> None:
    plan(1)

    def again() -> None:
        if len(kernel.set) == 2:
            plan(1, since_ns=7)
            kernel.now_s = 1003
        elif kernel.now_s > 1007:
            stepping.forget([1])

    kernel.after_sleep = again
    stepping.follow()
    assert kernel.set[2] == (3, 1, "ac"), "what holds now, though it was set before"
    assert links.read("all", "timing") == "1 2 0 10\n"


def test_a_link_that_went_away_does_not_stop_the_others(kernel: Kernel) -> None:
    plan(1, 2)

    def leave() -> None:
        kernel.gone.add(1)
        if kernel.now_s > 1007:
            stepping.forget([2])

    kernel.after_sleep = leave
    stepping.follow()
    assert [at_s for at_s, number, _ in kernel.set if number == 2] == [0.5, 1, 4, 6]


def test_a_kernel_that_refuses_ends_the_process_and_the_links_say_so(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_work: Sequence[Shaping]) -> None:
        raise ProbeError("RTNETLINK answers: Invalid argument")

    monkeypatch.setattr(emulators, "change", refuse)
    plan(1)
    with pytest.raises(ProbeError, match="Invalid argument"):
        stepping.follow()
    assert stepping.report(1) == "0 0 0 0", "no process with that number is a link-probe"
    assert stepping.report(2) == "1 0 0 0", "no steps were planned"


def test_the_process_ends_with_the_last_link_and_leaves_no_name(kernel: Kernel) -> None:
    plan(1)
    kernel.gone.add(1)
    stepping.follow()
    assert links.read("all", "follower") == ""
    assert links.read("all", "plan") == ""
    assert kernel.set == []


def test_steps_are_planned_once_and_one_process_is_started(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Sequence[str]] = []

    class Process:
        def __init__(self, command: Sequence[str], **_options: object) -> None:
            started.append(command)
            self.pid = 2**22 + 1

    monkeypatch.setattr(subprocess, "Popen", Process)
    stepping.follow_from_now_on({})
    assert started == []
    stepping.follow_from_now_on({1: "slow", 2: "slow"})
    assert [command[-1] for command in started] == ["steps"]
    assert links.read("all", "follower") == str(2**22 + 1)
    stepping.forget([1])
    assert [line.split()[0] for line in links.read("all", "plan").splitlines()] == ["2"]


def test_a_process_that_runs_is_told_of_a_new_link(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(stepping, "_follower", lambda: 4712)
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    stepping.follow_from_now_on({1: "slow"})
    assert told == [(4712, stepping.WAKE)]
