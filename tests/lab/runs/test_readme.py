"""Every command that the README shows is run here, in a fresh copy of the checkout, in the README's order."""

import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flume.lab.machine.process import wait_until
from support.media.clips import bunny_clip
from support.paths import ROOT
from support.privileges import is_root

pytestmark = [pytest.mark.docker, pytest.mark.vlc, pytest.mark.timeout(1200)]

NOT_RUN = {
    "make test": "it is what runs this test",
    "make bench BENCH=quick": "six minutes and half a gigabyte of Debian packages; the next line is the same in short",
    "vlc rtsp://192.0.2.7:5004/": "an address for documents alone; the tests of players start real ones",
}
ROOTS_OWN = ("make bench",)
"""Begins of lines that root alone can run: the test runs them as root."""

BACKGROUND = ("flume serve",)
INTERACTIVE = ("flume watch",)


def commands(markdown: str) -> list[str]:
    """Return the lines of the ``sh`` blocks without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"\s+# .*$", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


@pytest.fixture
def checkout(tmp_path):
    """A copy of all files that are committed or about to be, with this environment, and a film to play."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    copy = tmp_path / "flumelab"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    for name in ("pyproject.toml", *(path.relative_to(copy) for path in copy.glob("requirements/*.lock"))):
        os.utime(copy / name, (0, 0))  # older than the environment: make must not install the copy into it
    shutil.copy2(bunny_clip(), copy / "film.mp4")
    return copy


class Shell:
    """Runs the README's lines; a program that stays in the foreground there runs here until the end."""

    def __init__(self, folder: Path, lab: str) -> None:
        self.folder = folder
        # The commands as written, but where they name no duration a tour takes 6 s, and a window of the bench 1 s.
        settings = {"FLUME_LAB": lab, "MAKEFLAGS": f"LAB={lab} DURATION=6", "FLUME_BENCH_SECONDS": "1"}
        self.environment = {**os.environ, **settings, "TERM": "xterm", "COLUMNS": "100"}
        self.running: list[subprocess.Popen[bytes]] = []

    def run(self, line: str) -> None:
        if any(name in line for name in BACKGROUND):
            self._start(line)
        elif any(name in line for name in INTERACTIVE):
            self._use(line)
        else:
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stdout.strip(), f"{line} printed nothing"

    def _start(self, line: str) -> None:
        log = self.folder / "background.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=self.folder, env=self.environment, stdout=out, stderr=out
            )
        self.running.append(process)
        assert wait_until(lambda: b"listening on" in log.read_bytes(), timeout_s=30), log.read_text()

    def _use(self, line: str) -> None:
        """Type a key at an interactive program and read its status line."""
        control, terminal = pty.openpty()
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self.running.append(process)
        seen = ""
        for key, expected in (("", "active"), ("i", "interrupted"), ("c", "active")):
            os.write(control, key.encode())
            seen = self._read_until(control, expected)
        os.write(control, b"q")
        while select.select([control], [], [], 5)[0]:
            try:
                seen += os.read(control, 65536).decode(errors="replace")
            except OSError:  # the terminal was closed with the program
                break
        os.close(control)
        assert process.wait(20) == 0, seen

    def _read_until(self, control: int, expected: str) -> str:
        seen, deadline = "", time.monotonic() + 30
        while expected not in seen:
            assert time.monotonic() < deadline, f"{expected!r} never came: {seen!r}"
            if select.select([control], [], [], 1)[0]:
                seen += os.read(control, 65536).decode(errors="replace")
        return seen

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def check_that_pictures_came_over_the_links(path: Path) -> None:
    """netem shaped the links between a real server and five players, and the balance accounts for every datagram."""
    report = json.loads(path.read_text())
    assert report["network"]["profile"] == "lte"
    assert report["balance"]["lost_on_link"] > 0
    assert report["balance"]["unexplained"] == 0
    assert [client["player"] for client in report["clients"]] == ["headless"] * 5
    displayed = {client["name"]: client["frames_displayed"] for client in report["clients"]}
    due = {client["name"]: client["frames_due"] for client in report["clients"]}
    assert sum(displayed.values()) >= 0.95 * sum(due.values()), (displayed, due)
    for name, frames in due.items():  # 48 in the shortest window of a tour of 6 s: three of them are 6 %
        assert displayed[name] >= 0.8 * frames > 20, name


def test_every_command_of_the_readme_works(checkout, engine):
    lines = commands((checkout / "README.md").read_text())
    assert len(lines) >= 9, "the README lost its commands, or this test its way of finding them"
    lab = f"readme-{secrets.token_hex(3)}"
    shell = Shell(checkout, lab)
    try:
        for line in lines:
            if line not in NOT_RUN and (is_root() or not line.startswith(ROOTS_OWN)):
                shell.run(line)
            if "PROFILE=lte" in line:
                check_that_pictures_came_over_the_links(checkout / "artifacts" / "latest" / "report.json")
    finally:
        shell.close()
        engine.remove_lab(lab)
    assert (checkout / "artifacts" / "latest" / "report.json").is_file()


def test_the_sizes_of_the_images_are_those_of_the_figures(engine):
    figures = (ROOT / "docs" / "figures.md").read_text()
    shown = re.findall(r"^\| `(flumelab/\w+)` \| (\d+) MB \|", figures, re.MULTILINE)
    assert [tag for tag, _ in shown] == ["flumelab/server", "flumelab/client", "flumelab/probe"]
    for tag, megabytes in shown:
        assert engine.images.find(tag).size_bytes / 1e6 == pytest.approx(int(megabytes), rel=0.1), tag
