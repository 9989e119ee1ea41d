"""How the doctor's details become sentences, and how addresses with an interface stand in them."""

import pytest

from flume.doctor import diagnosis, remedies
from flume.doctor.cli import _sentence
from flume.doctor.observations import HostSeen, TcpSeen
from flume.doctor.remedies import PathEnds

PATH = PathEnds("fe80::1", 5004, "fe80::2", "%eth0")


@pytest.mark.parametrize(
    "text", ["fd00::2 is there", "dead:beef::1, then", "server.example answers", "a1 is", "'x' is", ""]
)
def test_an_address_or_a_name_at_the_beginning_stays_as_it_is(text: str):
    assert _sentence(text) == text


@pytest.mark.parametrize("text", ["port 5004 opens", "packets, all", "it: works", "TCP opens"])
def test_a_word_at_the_beginning_gets_a_capital(text: str):
    assert _sentence(text) == text[0].upper() + text[1:]


def test_commands_for_programs_have_the_interface_and_rules_for_firewalls_have_not():
    assert "flume watch fe80::1%eth0 --transport tcp" in remedies.udp_out(PATH)
    assert "-d fe80::1 --dport" in remedies.udp_out_here(PATH)
    assert "ip route get fe80::1 oif eth0" in remedies.host(PATH, no_route=True)


def test_over_ipv6_a_server_on_ipv4_alone_is_named_as_a_cause():
    seen = TcpSeen("fd00::2", 5004, "refused", None, None, 0.1)
    other = HostSeen((), None, udp_port_refused=True, other_udp_refused=True)
    found = diagnosis.tcp(seen, other, PathEnds("fd00::2", 5004, "fd00::3"), alive=True)
    assert "no server listens at fd00::2" in found.detail
    assert "0.0.0.0" in str(found.remedy)
    assert "--host ::" in str(found.remedy)
