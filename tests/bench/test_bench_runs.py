"""Runs the real command with a tiny plan: it measures, writes its results, and leaves no namespace behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.answers import COMMANDS, measure_answers
from bench.measure import measure
from bench.network import BenchNetwork
from bench.plan import FLUME, PLAYERS
from bench.senders import all_senders
from bench.values import Cell
from support.paths import ROOT

CLIENTS = 5
SENDERS = ("flume", "naive", "limit")
PLAN = f"--senders {','.join(SENDERS)} --clients {CLIENTS} --rate 2 --repeats 1 --seconds 1".split()


@pytest.mark.wire
@pytest.mark.needs_root("network namespaces")
def test_a_tiny_plan_yields_figures_and_leaves_no_namespace(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "bench", *PLAN, "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    with process:
        shown, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["complete"]
    assert report["version"] == 2
    assert all("other_load_cores" in each["outcome"] for each in report["measured"])
    rows = {(row["cell"]["sender"], row["cell"]["path"]): row for row in report["rows"] if row["cell"]["clients"] > 1}
    assert set(rows) == {(sender, path) for sender in SENDERS for path in ("sockets", "wire")}
    for (sender, _), row in rows.items():
        assert row["failures"] == []
        assert row["cell"]["clients"] == CLIENTS
        assert row["cpu_us_per_datagram"]["median"] > 0, row
        assert row["cores"]["median"] > 0, row
        assert row["lateness_p99_ms"]["median"] > 0, row
        assert row["continuity_errors"] == 0, row
        assert sender in shown
    left = [path.name for path in Path("/run/netns").iterdir() if path.name.startswith(f"flume-bench-{process.pid}-")]
    assert left == []


@pytest.mark.wire
def test_players_are_sent_as_much_as_our_own_clients() -> None:
    seen = {}
    with BenchNetwork() as network:
        for name in (FLUME, PLAYERS):
            cell = Cell(sender=name, clients=12, rate_mbit=2, path="wire", offload=True)
            seen[name] = measure(network, all_senders("-")[name], cell, seconds=2)
    for outcome in seen.values():
        assert outcome.failure is None
        assert outcome.cores > 0
        assert outcome.sequence_gaps == outcome.continuity_errors == 0
    assert 0.8 < seen[PLAYERS].per_client_per_s / seen[FLUME].per_client_per_s < 1.25


@pytest.mark.wire
def test_commands_are_answered_while_most_of_the_sessions_wait(record_property) -> None:
    cell = Cell(sender="flume", clients=150, rate_mbit=2, offload=True)
    with BenchNetwork() as network:
        answers = measure_answers(network, all_senders("-")["flume"], cell, active=60, seconds=3, per_s=60)
    assert answers.failure is None
    assert all(len(answers.replies_ms[command]) >= 5 for command in COMMANDS)
    assert answers.cores > 0
    assert answers.delivered_share > 0.8, "clients that come and go miss some"
    assert answers.left_active > 50, "those that connect anew receive"
    record_property("measured", f"{sum(map(len, answers.replies_ms.values()))} commands of 150 sessions, all answered")
