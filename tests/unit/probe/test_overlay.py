"""Where an engine keeps its ends of an overlay's links: found by the engine's process, or said why not."""

import os
import subprocess
import sys

import pytest

from probe import overlay
from probe.commands import ProbeError
from support.paths import SERVICES

NETWORK = "ikqx5ntl1z9d2w"
FILE = "/proc/7/root/run/docker/netns/1-ikqx5ntl1z"


def test_the_namespace_is_known_by_ten_characters_and_reached_through_the_engines_process() -> None:
    assert overlay.namespace_file(7, NETWORK) == FILE


@pytest.mark.parametrize(
    ("engines", "having", "why"),
    [
        ([], [], "no process dockerd is seen on this host"),
        ([7], [], "0 of the 1 engines on this host have the overlay network ikqx5ntl1z"),
        ([7, 8], [FILE, FILE.replace("7", "8")], "2 of the 2 engines on this host have"),
    ],
)
def test_none_or_several_are_refused(engines: list[int], having: list[str], why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        overlay.chosen(engines, having, NETWORK)


def test_of_several_engines_on_one_kernel_the_one_that_has_the_network_is_taken() -> None:
    assert overlay.chosen([7, 8], [FILE], NETWORK) == FILE


def test_processes_are_the_numbers_in_proc_and_one_that_has_ended_has_no_name() -> None:
    assert overlay._pids(["self", "12", "3", "cpuinfo", "1.5"]) == [3, 12]
    assert overlay._name(os.getpid())
    assert overlay._name(4194304999) == ""


@pytest.mark.parametrize("arguments", [[], [NETWORK]])
def test_without_a_command_it_says_how_it_is_called(arguments: list[str]) -> None:
    program = f"from probe import overlay; overlay.main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SERVICES)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "overlay: usage: overlay NETWORK COMMAND ...\n")
