"""The steps of a fresh system: a script that a shell reads, and what its output says."""

import shlex
import subprocess

import pytest

from fresh import steps

COMMANDS = ["make lab CLIENTS=5", "make test TESTS='tests/lab/engine tests/unit'"]


@pytest.mark.parametrize("person", steps.PERSONS)
def test_a_shell_reads_the_steps_and_they_hold_each_command_as_it_is(person: str):
    script = steps.script(person, COMMANDS)
    read = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, timeout=20, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    words = [shlex.split(line) for line in script.splitlines() if line.startswith("step 'make") or "make test" in line]
    assert [line[1] for line in words if line[1] in COMMANDS] == COMMANDS
    assert [line[-1].removeprefix("cd flumelab && ") for line in words if line[1] in COMMANDS] == COMMANDS


def test_a_member_of_docker_has_the_packages_that_only_root_can_install():
    """Without a registry those that make the base image as well; for the tests, theirs."""
    lab, test = (steps.script("member", [command]).replace("'", " ").split() for command in COMMANDS)
    assert {"docker.io", "docker-cli", "iptables", "python3-venv", "mmdebstrap", "uidmap"} <= set(lab)
    assert "tcpdump" in test
    assert "tcpdump" not in lab
    assert "docker-cli" not in steps.script("member", ["make lab"], debian="12")


def test_what_became_of_each_step_is_read_from_the_output():
    output = [
        "STEP make lab\n",
        "verdict: PASS\n",
        "DONE make lab | 0 | 139.2\n",
        "DONE make down | 2 | 0.5\n",
        "DONE\n",
    ]
    assert steps.results(output) == [steps.Step("make lab", 0, 139.2), steps.Step("make down", 2, 0.5)]
