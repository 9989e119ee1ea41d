"""`make firewall` and `flume lab firewall` as a person uses them, on a lab that runs."""

import re

import pytest

from support.labs.labs import one_line

pytestmark = [pytest.mark.docker, pytest.mark.timeout(200)]


def test_make_lists_applies_proves_and_opens(watched, firewalled):
    listed = watched.make("firewall")
    assert listed.returncode == 0, listed.stderr
    assert re.search(r"^  media-dropped +UDP from the server is dropped", listed.stdout, re.MULTILINE)
    up = watched.make("firewall", "FIREWALL=media-dropped", "CLIENT=2")
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("media-dropped at client 2: UDP from the server is dropped")
    for part in ("symptom", "diagnosis", "fix", "doctor", "proof"):
        assert re.search(rf"^{part} +\S", up.stdout, re.MULTILINE), up.stdout
    firewalled.clients[2].statistics()
    proof = watched.flume("lab", "firewall", "proof")
    assert "client 2, media-dropped: has acted" in one_line(proof.stdout)
    opened = watched.make("firewall", "FIREWALL=open")
    assert one_line(opened.stdout) == "open: no firewall scenario is applied any more"
    assert one_line(watched.flume("lab", "firewall", "proof").stdout) == "no firewall scenario is applied"
    assert firewalled.traces() == []


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["nonsense"], 2, "firewall='nonsense' is not possible: one of open, control-cut"),
        (["nat", "--client", "9"], 2, "client=9 is not possible: one of 1, 2, 3"),
        (["nat", "--server"], 2, "firewall='nat' is not possible: a scenario for server: it is for client, all"),
        (["nat", "--client", "1", "--all"], 2, "exclude one another"),
        (["nat", "--lab", "nowhere"], 3, "no lab 'nowhere' is running: start one with make lab"),
    ],
)
def test_what_is_wrong_is_one_line_and_puts_nothing_up(watched, firewalled, arguments, status, told):
    refused = watched.flume("lab", "firewall", *arguments)
    assert refused.returncode == status
    assert told in one_line(refused.stderr)
    assert firewalled.firewalls.applied() == {}


def test_a_file_of_one_s_own_that_the_kernel_refuses_leaves_nothing(watched, firewalled, tmp_path):
    text = (
        'summary = "s"\nsymptom = "s"\ndiagnosis = "d"\nremedy = "c"\nscope = "all"\nscopes = ["all"]\n'
        '[[rule]]\ndoes = "blocked all"\nhost = "client"\npackets = "from-server"\n'
        'matches = "-p udp --no-such-option 5"\ntarget = "DROP"\n'
        '[[rule]]\ndoes = "open control"\nhost = "server"\npackets = "to-server"\nmatches = "-p tcp"\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    refused = watched.flume("lab", "firewall", tmp_path / "mine.toml")
    assert refused.returncode == 3
    assert "no-such-option" in one_line(refused.stderr)
    assert firewalled.firewalls.applied() == {}
    assert firewalled.traces() == []
