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


@pytest.mark.parametrize(
    "name", ["PROFILE", "LAB", "CLIENTS", "VIDEO", "PLAYERS", "DURATION", "TESTS", "CLIENT", "HOSTS"]
)
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


@pytest.mark.parametrize("target", ["lab", "study", "status", "netem", "firewall", "down"])
def test_every_verb_of_a_lab_over_several_machines_names_its_file(target):
    """A path with spaces arrives as it is; without one, no option is written."""
    assert words_of(target, "HOSTS=my hosts.toml")[-2:] == ["--hosts", "my hosts.toml"]
    assert "--hosts" not in words_of(target)


def words_of(target: str, *settings: str) -> list[str]:
    """Return the words with which *target* calls ``flume``: a shell takes the recipe apart, and prints them."""
    dry = ["make", "--no-print-directory", "--dry-run", *settings, "--eval", "$(BIN)/flume: ;", target]
    environment = {"PATH": os.environ["PATH"], "MAKELEVEL": "0"}
    recipe = subprocess.run(dry, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    words = recipe.stdout.replace(".venv/bin/flume", "printf '%s\\n'")
    names = {key: value for key, _, value in (one.partition("=") for one in settings)}
    defaults = {"CLIENTS": "5", "SCENARIO": "tour", "LAB": "default"}
    shown = subprocess.run(
        ["sh", "-c", words], env=environment | defaults | names, capture_output=True, text=True, timeout=60, check=True
    )
    return shown.stdout.splitlines()
