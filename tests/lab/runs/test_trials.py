"""Broken servers in a whole lab: the judge fails each for the right reason."""

import pytest

from support.labs.trial import broken_server_program, topology

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
SCENARIO = """
description = "one stays, one is interrupted, one opens a connection late"
duration_s = 4
[[part]]
name = "steady"
commands = "connect; wait 100%"
[[part]]
name = "pauses"
commands = "connect; wait 50%; interrupt; wait 50%"
"""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("keeps_streaming", "while_interrupted"), ("streams_to_everyone", "wrong_address")],
)
def test_a_broken_server_on_trial_in_the_lab_fails_for_the_right_reason(lab, tmp_path, kind, reason):
    program = broken_server_program(tmp_path / "broken.pyz")
    (tmp_path / "short.toml").write_text(SCENARIO)
    services = topology(
        tmp_path / "lab.yaml",
        services__server={"entrypoint": ["python3"], "command": [f"/media/{program.name}", kind]},
        services__client={"command": PLAYERLESS},
    )
    run = lab.run(
        *("--clients", 2, "--video", program, "--topology", services, "--scenario", tmp_path / "short.toml"),
    )
    report = lab.report()
    clients = {client["name"]: client for client in report["clients"]}
    assert (run.returncode, report["verdict"]) == (1, "FAIL"), run.stdout + run.stderr
    assert clients["client-2"]["leak_reasons"].get(reason, 0) > 20
    assert clients["client-2"]["datagrams_leaked"] == sum(clients["client-2"]["leak_reasons"].values())
    assert f"FAIL: client-2: promise: {clients['client-2']['datagrams_leaked']} datagrams left" in run.stdout
    assert "verdict: FAIL" in run.stdout
    # The checks that the broken server passes are PASS.
    wrong = {check["name"] for check in report["checks"] if check["verdict"] != "PASS"}
    assert not wrong & {"capture", "evidence", "clock", "silence", "reception", "strangers"}
