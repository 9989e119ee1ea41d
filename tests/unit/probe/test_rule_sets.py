"""What the program ``firewall`` gives to iptables and the kernel, and what it reads from them."""

import struct

import pytest

from flume.lab.firewall import rules
from flume.lab.firewall.scenario import Scenario, find_all
from probe import rule_sets
from support.paths import FIREWALLS

SAVED = """\
*filter
:INPUT ACCEPT [10:1000]
:DOCKER_OUTPUT - [0:0]
:FLUME-IN-1 - [0:0]
:FLUME-IN-12 - [0:0]
:FLUME-OUT-1 - [0:0]
[9:900] -A INPUT -j FLUME-IN-1
[3:300] -A FLUME-IN-1 -p udp -m udp --sport 5004 -m comment --comment "flumelab blocked media" -j DROP
[4:400] -A FLUME-IN-12 -p udp -m udp --sport 5004 -m comment --comment "flumelab blocked media" -j DROP
[5:500] -A FLUME-OUT-1 -p tcp -m comment --comment "flumelab open control" -j RETURN
COMMIT
*nat
:FLUME-NAT-1 - [0:0]
[6:600] -A FLUME-NAT-1 -p udp -j MASQUERADE
COMMIT
"""


def test_only_the_rules_of_one_client_are_its_own() -> None:
    """Client 12 is not client 1, and the jumps of the built-in chains are no rules of ours."""
    found, hooks = rule_sets.own_rules(SAVED, 1)
    assert [line.split()[0] for line in found] == ["[3:300]", "[5:500]", "[6:600]"]
    assert hooks == ["IN", "OUT", "NAT"]
    assert rule_sets.own_rules(SAVED, 12) == ([SAVED.splitlines()[8]], ["IN"])
    assert rule_sets.own_rules(SAVED, 2) == ([], [])


def test_chains_are_unhooked_and_then_removed_table_by_table() -> None:
    """In between, their last counts can be read: packets do not meet them any more."""
    assert rule_sets.unhook_input(["IN", "NAT", "OUT"], 3) == (
        "*filter\n-D INPUT -j FLUME-IN-3\n-D OUTPUT -j FLUME-OUT-3\nCOMMIT\n"
        "*nat\n-D POSTROUTING -j FLUME-NAT-3\nCOMMIT\n"
    )
    assert rule_sets.remove_input(["IN", "NAT"], 3) == (
        "*filter\n-F FLUME-IN-3\n-X FLUME-IN-3\nCOMMIT\n*nat\n-F FLUME-NAT-3\n-X FLUME-NAT-3\nCOMMIT\n"
    )


def test_without_chains_there_is_nothing_to_do() -> None:
    """And iptables-restore is not called."""
    assert rule_sets.unhook_input([], 3) == rule_sets.remove_input([], 3) == ""


@pytest.mark.parametrize("scenario", find_all(FIREWALLS), ids=lambda scenario: scenario.name)
def test_every_chain_that_the_lab_makes_is_found_again(scenario: Scenario) -> None:
    """The lab writes the rules and the probe finds them by name; nothing else ties the two together."""
    for rule_set in rules.rule_sets(scenario, number=7, address="198.18.0.17", port=5004):
        lines = rule_set.rules.splitlines()
        saved = "".join(f"[0:0] {line}\n" if line.startswith("-A") else f"{line}\n" for line in lines)
        found, hooks = rule_sets.own_rules(saved, 7)
        assert len(found) == sum(line.startswith("-A FLUME-") for line in lines)
        assert len(hooks) == sum(line.startswith(":FLUME-") for line in lines)
        jumps = {line.replace("-I ", "-D ").replace(" 1 -j", " -j") for line in lines if line.startswith("-I ")}
        assert jumps == {line for line in rule_sets.unhook_input(hooks, 7).splitlines() if line.startswith("-D")}


def test_the_timeout_message_is_what_nfnetlink_reads() -> None:
    """Header, address family, protocol and two numbers of seconds in a nested attribute, each padded to 4 bytes."""
    message = rule_sets.timeout_message(30, 120)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    assert (length, kind, flags) == (len(message), 0x0803, 5)
    assert len(message) % 4 == 0
    attributes = {}
    at = 20
    while at < len(message):
        size, name = struct.unpack_from("=HH", message, at)
        attributes[name] = message[at + 4 : at + size]
        at += size + -size % 4
    assert attributes[2] == struct.pack("!H", 2)
    assert attributes[3] == bytes([17])
    unreplied, replied = attributes[0x8004][:8], attributes[0x8004][8:]
    assert unreplied == struct.pack("=HH", 8, 1) + struct.pack("!I", 30)
    assert replied == struct.pack("=HH", 8, 2) + struct.pack("!I", 120)


def test_the_kernels_answer_is_an_errno() -> None:
    """Negative in the answer, as netlink has it."""
    assert rule_sets.answer_error(bytes(16) + struct.pack("=i", -95)) == 95
    assert rule_sets.answer_error(bytes(20)) == 0


def test_arguments_come_in_whole_groups() -> None:
    """A group that lacks a word would shift all others."""
    assert rule_sets.groups(list("abcdef"), 3) == [["a", "b", "c"], ["d", "e", "f"]]
    for wrong in ([], list("abcd")):
        with pytest.raises(ValueError, match="not a multiple of 3"):
            rule_sets.groups(wrong, 3)
