"""The captures that the bench of the judge writes are those of a run without a fault."""

from pathlib import Path

from bench.judging import judge_run, write_run
from flume.lab.trial.verdict import Verdict


def test_the_run_of_the_bench_passes_with_every_datagram(tmp_path: Path):
    run, datagrams = write_run(tmp_path, megabytes=0.5, clients=2)
    report, took_s = judge_run(run, datagrams)
    assert report.verdict is Verdict.PASS
    assert (report.balance.sent, report.balance.received) == (2 * datagrams, 2 * datagrams)
    assert set(took_s) == {"reading the server's capture", "reading all captures", "judging", "all"}
