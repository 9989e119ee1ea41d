"""Broken servers in a whole lab: the judge fails each for the right reason."""

import pytest

from flume.lab import testcard
from support.labs.trial import PAUSES, broken_server_program, topology

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PLAYERLESS = [
    "watch",
    "server",
    "--json",
    "--commands",
    "-",
    "--player",
    "none",
    "--state-file",
    "/run/flume/state.json",
]


@pytest.mark.parametrize(
    ("kind", "reason", "programs"),
    [
        ("keeps_streaming", "while_interrupted", ("flume", "flume", "gstreamer")),
        ("streams_to_everyone", "wrong_address", ("flume", "flume")),
    ],
)
def test_a_broken_server_on_trial_in_the_lab_fails_for_the_right_reason(lab, tmp_path, kind, reason, programs):
    film = testcard.generate(tmp_path / "film.mp4", duration_s=10, width=320, height=180, bitrate_kbit=800)
    program = broken_server_program(tmp_path / "broken.pyz", film)
    duration_s = 10 if "gstreamer" in programs else 4  # it shows its first frame after 3 s, and pauses no earlier
    (tmp_path / "short.toml").write_text(PAUSES.format(duration_s=duration_s))
    services = topology(
        tmp_path / "lab.yaml",
        services__server={"entrypoint": ["python3"], "command": [f"/media/{program.name}", kind]},
        services__client={"command": PLAYERLESS},
    )
    run = lab.run(
        *("--clients", len(programs), "--players", ",".join(programs)),
        *("--video", program, "--topology", services, "--scenario", tmp_path / "short.toml"),
    )
    report = lab.report()
    clients = {client["name"]: client for client in report["clients"]}
    assert (run.returncode, report["verdict"]) == (1, "FAIL"), run.stdout + run.stderr
    for name in list(clients)[1:]:
        caught = clients[name]
        assert caught["leak_reasons"].get(reason, 0) > 20, name
        assert caught["datagrams_leaked"] == sum(caught["leak_reasons"].values())
        assert f"FAIL: {name}: promise: {caught['datagrams_leaked']} datagrams left" in run.stdout
    assert [client["program"] for client in report["clients"]] == list(programs)
    assert "verdict: FAIL" in run.stdout
    # The checks that the broken server passes are PASS.
    wrong = {check["name"] for check in report["checks"] if check["verdict"] != "PASS"}
    assert not wrong & {"capture", "evidence", "clock", "silence", "reception", "strangers"}
