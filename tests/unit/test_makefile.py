"""Where make takes its settings from."""

import os
import subprocess

import pytest

from support.paths import ROOT

SHOW = 'show: ; @echo "$$PROFILE|$$LAB|$$CLIENTS|$$VIDEO"'


def make(*arguments: str, level: str = "0", **environment: str) -> tuple[str, str]:
    """Return what a recipe has of the settings, and what make has said."""
    inherited = {"PATH": os.environ["PATH"], "MAKELEVEL": level, **environment}
    command = ["make", "--no-print-directory", "--eval", SHOW, *arguments, "show"]
    done = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("name", ["PROFILE", "LAB", "CLIENTS", "VIDEO", "PLAYERS", "DURATION", "TESTS", "CLIENT"])
def test_a_setting_of_the_environment_is_named_and_not_used(name):
    """CI systems use such names for other things."""
    shown, said = make(**{name: "of-ci"})
    assert shown == "|default|5|"
    assert said == f"make: not used from the environment: {name}; write for example: make lab PROFILE=lte"


def test_the_command_line_is_used_also_where_the_environment_has_another_value():
    assert make("PROFILE=lte", "LAB=b", PROFILE="of-ci") == ("lte|b|5|", "")
    assert make("VIDEO=a $b 'c'.mp4") == ("|default|5|a $b 'c'.mp4", "")


def test_an_empty_setting_and_a_make_in_make_are_not_spoken_of():
    assert make(PROFILE="") == ("|default|5|", "")
    assert make(level="1", LAB="default") == ("|default|5|", "")


def test_the_environment_is_used_where_make_is_told_to():
    assert make("-e", PROFILE="lte") == ("lte|default|5|", "")
