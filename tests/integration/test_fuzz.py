"""The fuzzer itself, for a fixed number of runs: it takes every target, and finds a fault that is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.corpus import inputs
from fuzz.running import command, environment
from fuzz.targets import TARGETS

pytest.importorskip("atheris", reason="there is no wheel of atheris for this Python and machine")

RUNS = 2_000


def seeds(folder: Path) -> Path:
    """Write the kept corpus of all targets into *folder*, as inputs of the target ``any``."""
    for place, target in enumerate(TARGETS):
        for path in inputs(target):
            (folder / f"{target}-{path.name}").write_bytes(bytes([place]) + path.read_bytes())
    return folder


def fuzz(target: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    line = command(target, [folder], [f"-artifact_prefix={folder.parent}/", "-seed=1", *options])
    return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=240, check=False)


def test_no_target_fails_in_a_fixed_number_of_runs(tmp_path: Path, record_property) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    done = fuzz("any", seeds(folder), f"-runs={RUNS}", "-timeout=60")
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr
    record_property("measured", f"{RUNS:,} inputs to {len(TARGETS)} targets")


def test_a_fault_is_found_and_its_input_written(tmp_path: Path) -> None:
    """A parser that cannot take large sequence numbers: the fuzzer ends with an error and writes such an input."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    program = tmp_path / "broken.py"
    program.write_text(
        "from flume.media import rtp\n"
        "whole = rtp.parse_untrusted\n"
        "rtp.parse_untrusted = lambda data: [0][whole(data).sequence >> 15] or whole(data)\n"
        "from fuzz.worker import main\n"
        "main()\n"
    )
    (folder / "seed").write_bytes(bytes([0x80, 33]) + bytes(10) + b"G")
    line = command("rtp_packet", [folder], [f"-artifact_prefix={tmp_path}/", "-seed=1", "-runs=20000", "-timeout=60"])
    line = [sys.executable, str(program), *line[3:]]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode != 0
    assert "IndexError" in done.stdout + done.stderr
    (written,) = tmp_path.glob("crash-*")
    assert written.read_bytes()[2] >= 128
