"""Commands for tc, and tc's answers as recorded from real netem (Linux 6.1, iproute2 6.1)."""

import json
from collections.abc import Mapping

import msgspec
import pytest

from flume.errors import EvidenceError
from flume.lab.link import shaping
from flume.lab.link.profile import Bucket, Direction, Profile, Step

BURSTS = Direction(
    delay_ms=50,
    jitter_ms=8,
    distribution="normal",
    jitter_reorders=False,
    loss_pct=100 * 1 / 51,
    loss_burst_datagrams=2,
)
BURSTS_READ = {
    "limit": 11223,
    "delay": {"delay": 0.05, "jitter": 0.008, "correlation": 0},
    "loss-gemodel": {"p": 0.01, "r": 0.5, "1-h": 1, "1-k": 0},
    "rate": {"rate": 12500000000, "packetoverhead": 0, "cellsize": 0, "celloverhead": 0},
    "ecn": False,
    "gap": 0,
}
ALL = Direction(
    delay_ms=0.3,
    jitter_ms=0.1,
    distribution="uniform",
    jitter_reorders=True,
    loss_pct=5,
    duplicate_pct=1,
    corrupt_pct=0.1,
    reorder_pct=25,
)
ALL_READ = {
    "limit": 10000,
    "delay": {"delay": 0.000299, "jitter": 9.9e-05, "correlation": 0},
    "loss-random": {"loss": 0.05, "correlation": 0},
    "duplicate": {"duplicate": 0.01, "correlation": 0},
    "reorder": {"reorder": 0.25, "correlation": 0},
    "corrupt": {"corrupt": 0.001, "correlation": 0},
    "ecn": False,
    "gap": 1,
}
RATE = Direction(rate_kbit=9_999_999.5, queue_bytes=200_000)
RATE_READ = {"limit": 147, "rate": {"rate": 1249999937, "packetoverhead": 0}, "ecn": False, "gap": 0}
REST_READ = {"limit": 10000, "rate": {"rate": 12500000000, "packetoverhead": 0}, "ecn": False, "gap": 0}
FILTERS = """[{"protocol":"arp","pref":10,"kind":"flower","chain":0},
{"protocol":"arp","pref":10,"kind":"flower","chain":0,"options":{"handle":1,"classid":"1:1","keys":{"eth_type":"arp"},
"not_in_hw":true}},{"protocol":"ip","pref":20,"kind":"flower","chain":0},
{"protocol":"ip","pref":20,"kind":"flower","chain":0,"options":{"handle":1,"classid":"1:1",
"keys":{"eth_type":"ipv4","ip_proto":"tcp","src_port":5004},"not_in_hw":true}},
{"protocol":"ip","pref":20,"kind":"flower","chain":0,"options":{"handle":2,"classid":"1:1",
"keys":{"eth_type":"ipv4","ip_proto":"tcp","dst_port":5004},"not_in_hw":true}}]"""


def read(options: dict[str, object], **more: object) -> str:
    root = {"kind": "prio", "handle": "1:", "root": True, "refcnt": 2, "options": {"bands": 3, "priomap": [1] * 16}}
    return json.dumps([root, {"kind": "netem", "handle": "10:", "parent": "1:2", "options": options, **more}])


def text(command: shaping.Command) -> str:
    return " ".join(command)


@pytest.mark.parametrize(
    ("direction", "options"),
    [(BURSTS, BURSTS_READ), (ALL, ALL_READ), (RATE, RATE_READ), (Direction(), REST_READ)],
)
def test_the_kernels_answer_for_each_direction_matches_that_direction(direction: Direction, options: dict[str, object]):
    assert shaping.check_readback(read(options), direction) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("limit",), 1000, "limit is 1000 and should be 11223"),
        (("delay", "delay"), 0.06, "delay_s is 0.06 and should be 0.05"),
        (("delay", "jitter"), 0.009, "jitter_s"),
        (("loss-gemodel", "r"), 0.4, "r is 0.4 and should be 0.5"),
        (("rate", "rate"), 125, "rate_bytes is 125"),
        (("duplicate",), {"duplicate": 0.01}, "duplicate is 0.01 and should be 0"),
        (("loss-random",), {"loss": 0.01}, "loss is 0.01 and should be 0"),
    ],
)
def test_each_difference_is_named(path: tuple[str, ...], value: object, message: str):
    options = json.loads(json.dumps(BURSTS_READ))
    inner = options
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    problems = shaping.check_readback(read(options), BURSTS)
    assert len(problems) == 1
    assert message in problems[0]


def test_a_qdisc_that_is_absent_or_not_ours_is_named():
    noqueue = '[{"kind":"noqueue","handle":"0:","root":true,"refcnt":2,"options":{}}]'
    assert len(shaping.check_readback(noqueue, Direction())) == 3
    assert "no netem" in shaping.check_readback("[{}]", Direction())[-1]
    for broken in ("", "tc: not found", "{}", "[1]", 5000 * "["):
        with pytest.raises(EvidenceError, match="reading a qdisc back"):
            shaping.check_readback(broken, Direction())


def test_the_counters_are_those_of_netem():
    counters = shaping.counters(read(REST_READ, bytes=1370, packets=1, drops=7, overlimits=0, qlen=2))
    assert (counters.sent_packets, counters.sent_bytes, counters.drops, counters.queued_packets) == (1, 1370, 7, 2)
    with pytest.raises(EvidenceError, match="no netem"):
        shaping.counters("[]")


def test_the_filters_are_read_back():
    assert shaping.check_filters(FILTERS) == []
    assert len(shaping.check_filters(FILTERS, exempt=False)) == 4
    assert len(shaping.check_filters(FILTERS, control_port=5006)) == 4
    assert len(shaping.check_filters("[]")) == 3


def test_the_tree_is_replaced_in_place_and_control_never_meets_netem():
    commands = shaping.set_commands("eth0", BURSTS, control_port=5010)
    assert [text(command[:3]) for command in commands] == [
        "tc qdisc replace",
        *["tc filter replace"] * 3,
        "tc qdisc replace",
    ]
    assert commands[0][5:9] == ("root", "handle", "1:", "prio")
    # The filters for control come before netem, so that netem never sees a control segment.
    assert [text(command[-2:]) for command in commands[1:4]] == ["classid 1:1"] * 3
    assert "src_port 5010" in text(commands[2])
    assert "dst_port 5010" in text(commands[3])
    assert "parent 1:2 handle 10: netem" in text(commands[4])
    assert all("del" not in command for command in commands)
    shaped = shaping.set_commands("eth0", BURSTS, control_port=5010, exempt=False)
    assert [text(command[-2:]) for command in shaped[1:4]] == ["classid 1:1", "classid 1:2", "classid 1:2"]
    # The same handles: a second call changes the existing qdiscs and filters and adds none.
    assert [command[:-2] for command in shaped[1:4]] == [command[:-2] for command in commands[1:4]]


def test_every_command_states_every_option_because_change_keeps_what_is_left_out():
    keys = ("limit", "delay", "loss", "duplicate", "corrupt", "reorder", "rate")
    for direction in (Direction(), BURSTS, ALL, RATE):
        arguments = shaping.netem_arguments(direction)
        assert [word for word in arguments if word in keys] == list(keys)
    # Without jitter netem uses no distribution; with jitter each command names its table.
    assert "distribution" not in shaping.netem_arguments(Direction(delay_ms=5))
    assert text(shaping.netem_arguments(ALL)[2:7]) == "delay 300us 100us distribution uniform"


def test_order_needs_a_rate_and_overtaking_needs_none():
    assert shaping.netem_arguments(BURSTS)[-1] == "100000000000bit"
    assert shaping.netem_arguments(ALL)[-1] == "0bit"
    assert shaping.netem_arguments(RATE)[-1] == "9999999500bit"


def test_a_burst_is_rendered_as_the_chain_that_has_it():
    assert text(shaping.netem_arguments(BURSTS)).split("loss ")[1].startswith("gemodel 1% 50% 100% 0%")
    assert "loss random 5%" in text(shaping.netem_arguments(ALL))


def test_steps_are_single_commands_in_time():
    slow = Direction(delay_ms=70)
    profile = Profile(
        name="p", description="", down=ALL, up=slow, period_s=15, steps=(Step(at_s=14.925, down=BURSTS, up=slow),)
    )
    assert shaping.step_commands("eth0", profile, "down") == (
        (0.0, shaping.rate_commands("eth0", ALL)),
        (14.925, shaping.rate_commands("eth0", BURSTS)),
    )
    assert shaping.step_commands("eth0", profile, "up") == (), "what does not change is not set again"


def test_steps_leave_out_a_table_that_stays():
    later = msgspec.structs.replace(BURSTS, delay_ms=90)
    steps = (Step(at_s=0, down=BURSTS, up=ALL), Step(at_s=1, down=later, up=ALL), Step(at_s=2, down=later, up=BURSTS))
    profile = Profile(name="p", description="", down=BURSTS, up=ALL, period_s=3, steps=steps)
    down, up = (shaping.step_commands("eth0", profile, name) for name in ("down", "up"))
    assert [text(command).count("distribution") for _, (command,) in down] == [0, 0]
    assert "delay 90000us 8000us loss gemodel" in text(down[1][1][0])
    # uniform and normal in turn
    assert [text(command).count("distribution") for _, (command,) in up] == [1, 1]


def test_a_step_that_holds_all_the_time_is_still_a_change_from_rest():
    rest, step = Direction(delay_ms=5), Direction(delay_ms=70)
    profile = Profile(
        name="p", description="", down=rest, up=rest, period_s=15, steps=(Step(at_s=0, down=step, up=rest),)
    )
    assert shaping.step_commands("eth0", profile, "down") == ((0, shaping.rate_commands("eth0", step)),)


# --- a rate that changes with time -----------------------------------------------------------------------------------

REST = Direction()
SLOW = Direction(delay_ms=20, rate_kbit=1000, queue_bytes=60_000, bucket=Bucket(burst_bytes=1514, token_kbit=744.953))
FAST = Direction(
    delay_ms=20, rate_kbit=30_000, queue_bytes=60_000, bucket=Bucket(burst_bytes=15_000, token_kbit=28_800)
)
TBF_READ = {"rate": 93119, "burst": 1513, "lat": 628078}
"""Printed by tc 6.1 for SLOW's bucket."""


def read_paced(netem: Mapping[str, object], bucket: Mapping[str, object], *, number: int = 2) -> str:
    """Return the answer of an interface that had a constant rate before: netem 10: is left over."""
    counted = {"bytes": 1370, "packets": 1, "drops": 7, "overlimits": 0, "qlen": 2}
    root = {"kind": "prio", "handle": "1:", "root": True, "options": {"bands": 3, "priomap": [number] * 16}}
    old = {"kind": "netem", "handle": "10:", "parent": "1:2", "options": REST_READ, **counted}
    new = {"kind": "netem", "handle": "30:", "parent": "1:3", "options": netem, **counted}
    return json.dumps([root, old, new, {"kind": "tbf", "handle": "31:", "parent": "30:1", "options": bucket}])


NETEM_READ = {"limit": 10_000, "delay": {"delay": 0.02, "jitter": 0}, "rate": {"rate": 12_500_000_000}}


def test_a_bucket_is_set_in_a_band_of_its_own_behind_netem():
    root, *_, netem, bucket = shaping.set_commands("eth0", SLOW)
    assert root[-16:] == ("2",) * 16
    assert "parent 1:3 handle 30: netem limit 10000 delay 20000us" in text(netem)
    assert netem[-2:] == ("rate", "100000000000bit"), "the order is kept, and netem has no rate of its own"
    assert text(bucket).endswith("parent 30:1 handle 31: tbf rate 744953bit burst 1514 limit 60000")
    assert text(shaping.set_commands("eth0", SLOW, exempt=False)[3][-1:]) == "1:3"
    assert shaping.set_commands("eth0", REST)[0][-16:] == ("1",) * 16, "back in the band of a constant rate"


def test_steps_set_the_bucket_alone_where_the_delay_stays():
    steps = (Step(at_s=0, down=SLOW, up=REST), Step(at_s=1, down=FAST, up=REST))
    profile = Profile(name="p", description="", down=SLOW, up=REST, period_s=2, steps=steps)
    (_, first), (_, second) = shaping.step_commands("eth0", profile, "down")
    assert (first, second) == (shaping.rate_commands("eth0", SLOW)[1:], shaping.rate_commands("eth0", FAST)[1:])


def test_a_bucket_read_back_is_any_of_the_steps():
    seen = read_paced(NETEM_READ, TBF_READ)
    assert shaping.check_readback(seen, SLOW) == []
    assert shaping.check_readback(seen, FAST, SLOW) == []
    assert [problem.partition(" ")[0] for problem in shaping.check_readback(seen, FAST)] == [
        "token_bytes",
        "burst_bytes",
        "queue_s",
    ]


def test_a_reading_between_two_commands_of_a_step_is_no_difference():
    later = msgspec.structs.replace(FAST, delay_ms=90)
    assert (
        shaping.check_readback(
            read_paced({**NETEM_READ, "limit": 12_318, "delay": {"delay": 0.09}}, TBF_READ), SLOW, later
        )
        == []
    )


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        ({**TBF_READ, "rate": 93200}, "token_bytes is 93200 and should be 93119"),
        ({**TBF_READ, "burst": 3000}, "burst_bytes is 3000 and should be 1514"),
        ({**TBF_READ, "lat": 300_000}, "queue_s is 0.3 and should be 0.628"),
    ],
)
def test_each_difference_of_a_bucket_is_named(bucket: dict[str, object], message: str):
    (problem,) = shaping.check_readback(read_paced(NETEM_READ, bucket), SLOW)
    assert problem.startswith(message)


def test_a_link_in_the_wrong_band_is_named():
    assert "send everything to 1:3" in shaping.check_readback(read_paced(NETEM_READ, TBF_READ, number=1), SLOW)[0]
    assert "send everything to 1:2" in shaping.check_readback(read_paced(NETEM_READ, TBF_READ), Direction())[0]
    assert shaping.check_readback(read(REST_READ), SLOW)[-1] == "no netem 30: under 1:3"


def test_the_counters_are_those_of_both_netems():
    counters = shaping.counters(read_paced(NETEM_READ, TBF_READ))
    assert (counters.sent_packets, counters.sent_bytes, counters.drops, counters.queued_packets) == (2, 2740, 14, 4)
