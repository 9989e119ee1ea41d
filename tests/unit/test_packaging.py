"""Packages from an index are pinned by hash, in environment and images alike; `make` hands its settings on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCKS = ROOT / "requirements"


class Pin(msgspec.Struct, frozen=True):
    """An entry of a lock: the version, the marker that says where it is installed, the hashes of its files."""

    version: str
    marker: str
    hashes: frozenset[str]


def pins(name: str) -> dict[str, Pin]:
    """Return the entries of the lock *name*; nothing else may be in it. Of two for one package, this Python's."""
    text = re.sub(r"^#.*\n", "", (LOCKS / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, Pin] = {}
    for entry in re.sub(r" *\\\n *", " ", text).splitlines():
        matched = re.fullmatch(r"([\w.-]+)==(\S+)(?: ; (.*?))?((?: --hash=sha256:[0-9a-f]{64})+)", entry)
        assert matched, f"{name}: not an exact version with hashes: {entry[:100]!r}"
        package, pin = canonicalize_name(matched[1]), Pin(matched[2], matched[3] or "", frozenset(matched[4].split()))
        if package not in found or Marker(pin.marker).evaluate():
            found[package] = pin
    return found


def requirements() -> list[Requirement]:
    groups = (*PROJECT["optional-dependencies"].values(), *PYPROJECT["dependency-groups"].values())
    listed = [Requirement(line) for lines in (PROJECT["dependencies"], *groups) for line in lines]
    return [each for each in listed if each.name != "flumelab"]


def installed(name: str, extras: frozenset[str], seen: dict[tuple[str, frozenset[str]], str]) -> None:
    """Add to *seen* the version of *name* in this environment, and of all that it requires with *extras*."""
    key = (canonicalize_name(name), extras)
    if key in seen:
        return
    seen[key] = metadata.version(name)
    for line in metadata.requires(name) or ():
        needed = Requirement(line)
        if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            installed(needed.name, frozenset(needed.extras), seen)


def test_each_requirement_is_a_range_that_holds_the_version_the_tests_run_with():
    pinned = pins("dev.lock")
    for each in requirements():
        assert {part.operator for part in each.specifier} == {">=", "<"}, each
        assert each.specifier.contains(pinned[canonicalize_name(each.name)].version), each


def test_each_package_of_this_environment_has_the_version_that_is_pinned_by_hash():
    """Those of the tests, of all that they require in turn, and of what builds flumelab."""
    seen: dict[tuple[str, frozenset[str]], str] = {}
    for each in requirements():
        if not each.marker or each.marker.evaluate({"extra": ""}):
            installed(each.name, frozenset(each.extras), seen)
    pinned = {name: pin.version for name, pin in pins("dev.lock").items()}
    versions = {name: version for (name, _), version in seen.items()}
    assert versions == {name: pinned.get(name) for name in versions}
    assert {"click", "hatchling", "pytest", "scapy", "urllib3"} <= set(versions)


@pytest.mark.parametrize(("part", "whole"), [("lab.lock", "dev.lock"), ("images.lock", "lab.lock")])
def test_the_images_and_the_lab_have_the_packages_that_the_tests_run_with(part: str, whole: str):
    """The same versions and the same hashes."""
    some, all_of_them = pins(part), pins(whole)
    assert {"click", "msgspec", "python-vlc", "rich"} <= set(some)
    assert some == {name: all_of_them.get(name) for name in some}


def test_what_builds_flumelab_is_locked_as_the_build_asks_for_it():
    """And as hatchling does, for the editable installation that `make` makes."""
    ask = "import hatchling.build; print(*hatchling.build.get_requires_for_build_editable(), sep=chr(10))"
    asked = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    needed = [Requirement(line) for line in (*PYPROJECT["build-system"]["requires"], *asked.stdout.split())]
    assert {"editables", "hatchling"} == {each.name for each in needed}
    pinned = pins("lab.lock")
    for each in needed:
        assert each.specifier.contains(pinned[canonicalize_name(each.name)].version), each


def test_the_locks_name_no_index_and_no_folder():
    for path in LOCKS.iterdir():
        assert not re.search(r"://|--(extra-)?index|--find-links|^-|file:", path.read_text(encoding="utf-8")), path


class Checkout:
    """A folder with the Makefile and, in the place of ``flume``, a program that says how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy2(ROOT / "Makefile", folder)
        for name in ("pyproject.toml", "requirements/lab.lock", "requirements/dev.lock"):
            (folder / name).parent.mkdir(exist_ok=True)
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
