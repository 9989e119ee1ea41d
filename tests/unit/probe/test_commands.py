"""Commands run side by side, and a failure says which one it was."""

import sys

import pytest

from probe import commands
from probe.commands import ProbeError


def python(code: str) -> list[str]:
    """Return a command that runs *code*."""
    return [sys.executable, "-ISc", code]


def test_the_name_of_the_interface_takes_its_place() -> None:
    """As a whole word only."""
    lines = commands.named([["qdisc", "del", "dev", "LINK"], ["x", "LINKS"]], "veth1")
    assert commands.batch(lines) == "qdisc del dev veth1\nx LINKS\n"


def test_a_command_is_run_in_another_namespace_only_where_one_is_meant() -> None:
    """Process 0 is the probe itself."""
    assert commands.entered(0) == []
    assert commands.entered(7) == ["nsenter", "--target", "7", "--net", "--"]


def test_commands_get_their_input_and_their_outputs_stay_in_order() -> None:
    """Whichever ends first."""
    echo = python("import sys, time; text = sys.stdin.read(); time.sleep(0.1 * len(text)); print(text)")
    assert commands.run_side_by_side([(echo, "aa"), (echo, "b")]) == ["aa\n", "b\n"]


def test_a_failure_names_command_status_message_and_input() -> None:
    """In one line."""
    failing = python("import sys; sys.exit('RTNETLINK\\n answers: no')")
    with pytest.raises(ProbeError, match=r"ended with 1: RTNETLINK answers: no; input: qdisc show\n$"):
        commands.run_side_by_side([(failing, "qdisc show\n")])


def test_a_part_of_the_answer_is_what_the_lab_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Subject and kind in the line before it."""
    from flume.lab.containers.probe import sections

    commands.section("host", "qdisc", "[]\n\n")
    commands.section("3", "own", "0 0")
    assert sections(capsys.readouterr().out) == {("host", "qdisc"): "[]\n", ("3", "own"): "0 0\n"}
