"""The firewall catalogue as files, and what becomes of a scenario in iptables' words."""

import re

import pytest

from flume.errors import SettingsError
from flume.lab.evidence.counters import firewall_drops
from flume.lab.firewall.rules import SERVER_WIDE, Proof, counts, rule_sets
from flume.lab.firewall.scenario import Scenario, find, find_all, load
from support.paths import FIREWALLS

NAMED = {
    "control-dropped",
    "control-rejected",
    "media-dropped",
    "media-rejected",
    "stateful",
    "stateful-expiring",
    "nat",
    "nat-rebind",
    "control-cut",
    "wrong-port",
    "rate-limited",
    "fragments-dropped",
    "one-client-isolated",
}
TEXT = """
summary = "s"
symptom = "s"
diagnosis = "d"
remedy = "c"
scope = "client"
scopes = ["client", "all", "server"]

[[rule]]
does = "blocked media"
host = "client"
packets = "from-server"
matches = "-p udp --sport {port}"
target = "DROP"

[[rule]]
does = "open control"
host = "server"
packets = "to-server"
matches = "-p tcp --dport {port}"
target = "RETURN"
"""


def change(old: str, new: str) -> Scenario:
    assert old in TEXT
    return load(TEXT.replace(old, new), name="mine")


def test_the_catalogue_is_complete_and_every_file_says_what_a_person_needs():
    found = find_all(FIREWALLS)
    assert {scenario.name for scenario in found} >= NAMED
    for scenario in found:
        for text in (scenario.summary, scenario.symptom, scenario.diagnosis, scenario.remedy):
            assert len(text.split()) > 5, scenario.name
        assert "\n" not in scenario.symptom.strip(), "lines are the terminal's affair"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('summary = "s"', 'summary = "s"\ncolour = "red"', "unknown field `colour`"),
        ('target = "DROP"', 'target = "DROP"\nsport = 5', r"unknown field `sport` - at `\$.rule"),
        ('target = "DROP"', 'target = "ACCEPT"', "'ACCEPT' is none of"),
        ('target = "DROP"', 'target = "RETURN"', "a rule that blocks has the target DROP or REJECT"),
        ('target = "RETURN"', 'target = "DROP"', "a rule that leaves open has the target RETURN or none"),
        ('scope = "client"', 'scope = "world"', r"Invalid enum value 'world' - at `\$.scope`"),
        ('scope = "client"', 'scope = "client"\nudp_state_s = 0', r">= 1 - at `\$.udp_state_s`"),
        ('scope = "client"', 'scope = "client"\npath_mtu_bytes = 200', r"path_mtu_bytes"),
        ('scopes = ["client", "all", "server"]', 'scopes = ["all"]', "scope 'client' is none of its own scopes"),
        ('scope = "client"', 'scope = "client"\nforget_flows = true', "the scope server has neither flows"),
        ("-p udp --sport {port}", "-p udp -j ACCEPT", "matches has -j"),
        ("-p udp --sport {port}", "-p udp --sport {ports}", r"braces other than \{port\}"),
        ("-p udp --sport {port}", '-p udp \\"', "matches cannot be read"),
        ('does = "blocked media"', 'does = "blocks media"', r"at `\$.rule\[0\].does`"),
        ('does = "blocked media"', 'does = "also media"', "nothing could prove that it acted"),
        ('does = "open control"', 'does = "also control"', "nothing could prove that the rest passes"),
        ('host = "client"', 'host = "router"', r"at `\$.rule\[0\].host`"),
        ('host = "client"', 'stands = "router"', r"at `\$.rule\[0\].host`"),
        ('host = "client"', 'host = "client"\nstands = "client"', "unknown field `stands`"),
        ('remedy = "c"', 'remedy = "c"\ncure = "c"', "unknown field `cure`"),
        ('summary = "s"', "", "missing required field `summary`"),
        ('summary = "s"', "summary = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_and_reason(old, new, told):
    with pytest.raises(SettingsError, match=r"firewall='mine\.toml' is not possible: .*" + told):
        change(old, new)


def test_old_keys_are_read_and_named():
    """Once each, however many rules have them."""
    scenario = load(TEXT.replace("remedy =", "cure =").replace("host =", "stands ="), name="mine")
    assert scenario.renamed_keys == {"cure": "remedy", "stands": "host"}
    assert (scenario.remedy, [rule.host for rule in scenario.rule]) == ("c", ["client", "server"])
    assert load(TEXT, name="mine").renamed_keys == {}
    assert not [found.name for found in find_all(FIREWALLS) if found.renamed_keys]


def test_an_unknown_name_lists_the_known_ones_and_a_path_works(tmp_path):
    with pytest.raises(SettingsError, match=r"firewall='nonsense' is not possible: one of open, control-cut, "):
        find(FIREWALLS, "nonsense")
    (tmp_path / "my-own.toml").write_text(TEXT)
    assert find(FIREWALLS, str(tmp_path / "my-own.toml")).name == "my-own"
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="a readable TOML file"):
        find(FIREWALLS, str(tmp_path / "odd.toml"))


def test_a_rule_stands_where_its_packets_pass():
    scenario = load(TEXT, name="mine")
    client, server = rule_sets(scenario, number=3, address="198.18.0.13", port=5004)
    assert client.side == "client"
    assert client.rules == (
        "*filter\n:FLUME-IN-3 - [0:0]\n"
        '-A FLUME-IN-3 -p udp --sport 5004 -m comment --comment "flumelab blocked media" -j DROP\n'
        "-I INPUT 1 -j FLUME-IN-3\nCOMMIT\n"
    )
    assert '-A FLUME-IN-3 -s 198.18.0.13 -p tcp --dport 5004 -m comment --comment "flumelab open' in server.rules
    (for_all,) = rule_sets(scenario, number=SERVER_WIDE, address=None, port=5004)
    assert "-A FLUME-OUT-0 -p udp --sport 5004" in for_all.rules
    assert "-A FLUME-IN-0 -p tcp --dport 5004" in for_all.rules
    assert "-I OUTPUT 1 -j FLUME-OUT-0" in for_all.rules


def test_translation_and_path_have_their_places():
    client = rule_sets(find(FIREWALLS, "nat"), number=2, address="198.18.0.12", port=5004)[0]
    assert re.search(r"\*nat\n:FLUME-NAT-2 .*-I POSTROUTING 1 -j FLUME-NAT-2\nCOMMIT", client.rules, re.DOTALL)
    assert client.forget_port == 5004
    by_side = {one.side: one for one in rule_sets(find(FIREWALLS, "fragments-dropped"), number=2, address="A", port=1)}
    assert by_side["server"].route == "A 1280"
    assert by_side["client"].route == ""


SAVED = """\
[7:900] -A FLUME-IN-3 -p udp -m udp --sport 5004 -m comment --comment "flumelab blocked media" -j DROP
[2:90] -A FLUME-IN-3 -p udp -m comment --comment "flumelab blocked media" -j DROP
[0:0] -A FLUME-IN-3 -p tcp -m comment --comment "flumelab open control" -j RETURN
[0:0] -A FLUME-IN-3 -p tcp -m comment --comment "flumelab also unsolicited" -j DROP
[9:9] -A FLUME-IN-30 -p tcp -m comment --comment "flumelab open control" -j RETURN
"""


def test_the_proof_is_in_the_counters():
    proof = Proof(3, "mine", tuple(counts(SAVED, 3)))
    assert proof.packets("blocked media") == 9
    assert (proof.acted, proof.stayed_open) == (True, False)
    later = Proof(3, "mine", tuple(counts(SAVED.replace("[0:0] -A FLUME-IN-3 -p tcp", "[1:40] -A FLUME-IN-3"), 3)))
    assert (later.acted, later.stayed_open) == (True, True)
    unused = Proof(3, "mine", tuple(counts(SAVED.replace("[7:900]", "[0:0]").replace("[2:90]", "[0:0]"), 3)))
    assert not unused.acted


QUESTIONS = """\
[2:146] -A FLUME-IN-3 -p udp -m length --length 0:100 -m comment --comment "flumelab also questions" -j DROP
[0:0] -A FLUME-IN-3 -p udp -m comment --comment "flumelab blocked media" -j DROP
"""


def test_questions_that_were_blocked_are_no_media_and_show_that_none_come():
    proof = Proof(3, "mine", tuple(counts(QUESTIONS, 3)))
    assert proof.acted
    assert proof.packets("blocked media") == firewall_drops(QUESTIONS) == 0
    assert not Proof(3, "mine", tuple(counts(QUESTIONS.replace("[2:146]", "[0:0]"), 3))).acted


def test_the_scenarios_are_listed_by_name():
    names = [scenario.name for scenario in find_all(FIREWALLS)]
    assert names == sorted(names)


@pytest.mark.parametrize("scenario", find_all(FIREWALLS), ids=lambda scenario: scenario.name)
def test_a_symptom_does_not_promise_a_blank_screen_where_the_client_takes_the_media_over_tcp(scenario: Scenario):
    legs = ("udp_out", "udp_back", "path_mtu")
    # Where some datagrams arrive, the client stays with UDP.
    if any(scenario.doctor.get(leg) in ("dropped", "rejected", "too_big") for leg in legs):
        assert "over its control connection" in " ".join(scenario.symptom.split())
        assert "--transport udp" in " ".join(scenario.symptom.split())
