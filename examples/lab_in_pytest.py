"""Test a video service with the lab, from pytest: start a run, then assert what its report says.

In a checkout of flumelab, after ``make setup``::

    .venv/bin/python -m pytest examples/lab_in_pytest.py

The run takes about 20 s. To test a server of your own, describe its image in a copy of ``compose/lab.yaml`` and add
``"--topology", "my-lab.yaml"`` to the command; compose/README.md has the contract that the image must keep.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCENARIO = """
description = "one client watches, the other pauses in the middle"
duration_s = 6
[[part]]
name = "watches"
commands = "connect; wait 100%"
[[part]]
name = "pauses"
commands = "connect; wait 30%; interrupt; wait 40%; continue; wait 30%"
"""
LAB = os.environ.get("FLUME_LAB", f"example-{os.getpid()}")
"""A name of its own: labs with other names are not touched."""


def flume_lab(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flume.cli", "lab", *map(str, arguments), "--lab", LAB]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The report of one run, which all tests here read; the lab is removed afterwards."""
    folder: Path = tmp_path_factory.mktemp("lab")
    (folder / "pause.toml").write_text(SCENARIO)
    # --players 0: the clients count datagrams and decode nothing, so a busy computer costs no frames.
    run = flume_lab(
        *("run", "--clients", 2, "--players", 0, "--scenario", folder / "pause.toml", "--artifacts", folder),
    )
    try:
        # 0 is PASS and 1 is FAIL: there is a report. Any other status is an error of the lab, with its reason.
        assert run.returncode in {0, 1}, run.stderr
        yield json.loads((folder / "latest" / "report.json").read_text())
    finally:
        flume_lab("down")


def test_the_verdict_is_pass(report: dict[str, Any]) -> None:
    """On failure pytest shows the checks that did not pass; docs/judge.md explains each."""
    assert [check for check in report["checks"] if check["verdict"] != "PASS"] == []
    assert report["verdict"] == "PASS"


def test_a_client_that_pauses_gets_no_datagram_meanwhile(report: dict[str, Any]) -> None:
    """The captures show it, not the programs' own counts."""
    _, pauses = report["clients"]
    assert len(pauses["active_windows"]) == 2
    assert pauses["datagrams_leaked"] == 0


def test_every_datagram_is_accounted_for(report: dict[str, Any]) -> None:
    """4 Mbit/s are about 380 datagrams a second, here for 6 s and for 60 % of that."""
    balance = report["balance"]
    assert balance["sent"] > 6 * 1.6 * 350
    assert balance["received"] == balance["sent"], "nothing is lost on a link without a profile"
    assert balance["unexplained"] == 0
