"""Debian packages: which are missing, and the output of apt."""

import os
from pathlib import Path

import pytest

from flume.errors import SetupError
from flume.lab.machine import packages
from flume.lab.progress import Task


class _Bar(Task):
    """Keeps the last update."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        self.seen = {"completed": completed, "text": text}


def test_missing_programs_become_packages_without_repeats(tmp_path: Path) -> None:
    """A program in PATH and an existing file are not missing. Two programs of one package name it once."""
    there = tmp_path / "library.so"
    there.touch()
    wanted = {"sh": "dash", str(there): "lib", "no-such-a": "one", "no-such-b": "one", "/no/such.so": "two"}
    assert packages.missing(wanted) == ["one", "two"]


def test_installing_nothing_prints_nothing() -> None:
    """A second run prints nothing."""
    messages: list[str] = []
    packages.install({"sh": "dash"}, "a shell", messages.append, interactive=False)
    assert messages == []


def test_without_root_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried that needs root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"sudo apt-get install --no-install-recommends docker\.io") as caught:
        packages.install({"no-such-program": "docker.io"}, "containers", lambda _line: None, interactive=False)
    assert "containers" in str(caught.value)


def test_apt_status_moves_the_bar_and_errors_are_kept() -> None:
    """Percentages are read from apt's status lines, the reason from its E: line."""
    bar = _Bar()
    lines = ["Reading package lists...\n", "pmstatus:docker.io:42.5:Unpacking docker.io\n", "E: Unable to locate x\n"]
    assert packages._follow_apt(lines, bar) == "E: Unable to locate x"
    assert bar.seen == {"completed": 42.5, "text": "Unpacking docker.io"}
