"""The versions of other packages, which stand in three files, agree; and `make` hands its settings on as they are."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(path: Path) -> dict[str, str]:
    """Return the version of each package that the file at *path* pins."""
    found = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    listed = [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]
    return [each for each in listed if each.name != "flumelab"]


def test_each_requirement_is_a_range_that_holds_the_version_the_tests_run_with():
    pinned = pins(ROOT / "constraints.txt")
    for each in requirements():
        assert {part.operator for part in each.specifier} == {">=", "<"}, each
        assert each.specifier.contains(pinned[canonicalize_name(each.name)]), each


def test_the_images_run_the_versions_that_the_tests_run_with():
    pinned, installed = pins(ROOT / "constraints.txt"), pins(ROOT / "compose" / "images" / "requirements.lock")
    assert {"click", "msgspec", "python-vlc", "rich"} <= set(installed)
    assert {name: pinned[name] for name in installed} == installed


class Checkout:
    """A folder with the Makefile and, in the place of ``flume``, a program that says how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy2(ROOT / "Makefile", folder)
        for name in ("pyproject.toml", "constraints.txt"):
            (folder / name).touch()
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "flume").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n", encoding="utf-8")
        (programs / "flume").chmod(0o755)
        (programs / "python").touch()
        for stamp in (".stamp-lab", ".stamp-dev"):
            (folder / ".venv" / stamp).touch()

    def make(self, *arguments: str, **environment: str) -> tuple[list[str], str]:
        """Return the arguments that ``flume`` was given, and what ``make`` wrote to its standard error."""
        done = self.run(*arguments, **environment)
        return done.stdout.split("\0")[:-1], done.stderr

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **environment},  # not that of the make that runs this test
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_firewall_names_a_firewall_and_scenario_the_labs_scenario(checkout: Checkout):
    said = checkout.make("firewall", "FIREWALL=nat", "CLIENT=2", "SCENARIO=steady")
    assert said == (["lab", "firewall", "--lab", "default", "--client", "2", "nat"], "")
    arguments, _ = checkout.make("lab", "FIREWALL=nat", "SCENARIO=steady")
    assert arguments == ["lab", "run", "--clients", "5", "--scenario", "steady", "--lab", "default"]


def test_without_a_firewall_they_are_listed_whatever_the_environment_says_of_the_lab(checkout: Checkout):
    listed = (["lab", "firewall", "--lab", "default"], "")
    assert checkout.make("firewall") == listed
    arguments, said = checkout.make("firewall", SCENARIO="steady")
    assert arguments == listed[0]
    assert "not used from the environment: SCENARIO" in said


def test_the_old_spelling_works_and_says_what_to_write_instead(checkout: Checkout):
    arguments, said = checkout.make("firewall", "SCENARIO=media-dropped")
    assert arguments == ["lab", "firewall", "--lab", "default", "media-dropped"]
    assert "write FIREWALL=media-dropped" in said


@pytest.mark.parametrize("value", ["my film.mp4", "a'b.mp4", 'a"b.mp4', "a$(HOME)`id`$HOME;x.mp4", "ä#%\\.mp4"])
def test_a_setting_arrives_as_it_is(checkout: Checkout, value: str):
    for target, name in (("lab", "VIDEO"), ("firewall", "FIREWALL"), ("firewall", "SCENARIO")):
        assert value in checkout.make(target, f"{name}={value}")[0]
    assert value in checkout.make("-e", "lab", VIDEO=value)[0]
    assert value not in checkout.make("lab", VIDEO=value)[0], "the environment is not make's command line"


def test_help_names_every_target_that_people_call(checkout: Checkout):
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    done = checkout.run("help")
    assert re.findall(r"^  ([a-z-]+) +\S", done.stdout, re.MULTILINE) == phony.split()
    assert re.findall(r"^(\w.*[^:])$", done.stdout, re.MULTILINE)[-3:] == [
        "The lab",
        "This machine",
        "Working on flumelab",
    ]
