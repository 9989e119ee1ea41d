"""What link-probe is asked and answers: it can read it, and no argument is longer than the system allows."""

import base64
import json
import random
import zlib

from flume.lab.link import exchange
from flume.lab.link.exchange import StepCounts
from flume.lab.link.pacing import traced
from flume.lab.link.profile import Direction, Profile, Step
from flume.lab.link.trace import MAX_LENGTH_S, WINDOW_MS, read_trace
from probe import link_probe
from probe.timing import parse_steps

MAX_ARG_STRLEN = 131_072
"""Linux: the longest argument of a command, in bytes."""
ARGUMENTS_MAX = 2 << 20
"""Linux: all arguments together, with the usual stack of 8 MiB."""


def long_trace(length_s: float) -> Profile:
    """Return a link that changes every 100 ms in both directions, to figures that repeat nowhere."""
    draw = random.Random(1)
    rows = "".join(
        f"{at * WINDOW_MS / 1000},{draw.randrange(100, 50_000)},{draw.randrange(100, 9_000)},{draw.randrange(20, 90)}\n"
        for at in range(round(length_s * 1000 / WINDOW_MS))
    )
    traces = read_trace("time_s,down_rate_kbit,up_rate_kbit,delay_ms\n" + rows, file="t.csv")
    rest = Direction(delay_ms=20, rate_kbit=5000, queue_bytes=60_000)
    return Profile(name="long", description="", **traced(rest, rest, traces)._asdict())


def request(profile: Profile) -> list[str]:
    key, spec = exchange.packed_profile(profile)
    return exchange.command("apply", {"profiles": {key: spec}, "links": [], "wires": []})


def test_link_probe_reads_what_it_is_asked():
    program, action, *spec = exchange.command("read", {"wires": [7, 8]})
    assert (program, action, link_probe.unpacked(spec)) == ("link-probe", "read", {"wires": [7, 8]})


def test_the_longest_trace_fits_into_the_arguments_of_a_command():
    arguments = request(long_trace(MAX_LENGTH_S))
    assert max(map(len, arguments)) < MAX_ARG_STRLEN
    assert sum(map(len, arguments)) < ARGUMENTS_MAX


def test_the_probe_gets_a_step_wherever_a_direction_changes():
    link = long_trace(20)
    ((_, spec),) = link_probe.unpacked(request(link)[2:])["profiles"].items()
    steps = parse_steps(spec["steps"])
    assert spec["period_s"] == 20
    assert [at_s for at_s, _ in steps["down"]] == [at_s for at_s, _ in link.changes("down")]
    at_s, (netem, bucket) = steps["up"][7]
    assert at_s == 0.7
    assert netem.startswith("qdisc replace dev LINK parent 1:3 handle 30: netem ")
    assert bucket.startswith("qdisc replace dev LINK parent 30:1 handle 31: tbf ")


def test_two_profiles_have_two_keys():
    one, two = (Profile(name="a", description=text, down=Direction(), up=Direction()) for text in ("a", "b"))
    assert exchange.packed_profile(one) == exchange.packed_profile(one)
    assert exchange.packed_profile(one).key != exchange.packed_profile(two).key


def answer(profile: Profile, *, netem: str = "[]") -> dict[tuple[str, str], str]:
    """Return what the probe says of link 3, as its sections are read."""
    key, spec = exchange.packed_profile(profile)
    parts = {"link": "4711 12\n", "down": netem, "up": netem, "profile": f"{key}\n", "own": "5 6\n"}
    return {("3", kind): text for kind, text in parts.items()} | {
        ("3", "steps"): "1 40 2 130\n",
        (key, "text"): f"{spec['text']}\n",
    }


def test_the_answer_names_the_profile_that_was_set_and_how_its_steps_were_made():
    link = long_trace(3)
    (state,) = exchange.states(answer(link))
    assert (state.number, state.pid, state.wire, state.own_loss("up")) == (3, 4711, 12, 6)
    assert state.profile == link
    assert (state.steps_run, state.steps) == (True, StepCounts(due=40, late=2, latest_ms=130))


def test_settings_are_compared_with_rest_and_with_every_step():
    slow, fast = Direction(delay_ms=20), Direction(delay_ms=40)
    link = Profile(name="p", description="", down=slow, up=slow, period_s=2, steps=(Step(at_s=1, down=fast, up=slow),))

    def problems(delay_s: float) -> list[str]:
        options = {"limit": 10_000, "delay": {"delay": delay_s, "jitter": 0}, "rate": {"rate": 12_500_000_000}}
        root = {"kind": "prio", "handle": "1:", "root": True, "options": {"priomap": [1] * 16}}
        netem = {"kind": "netem", "handle": "10:", "parent": "1:2", "options": options}
        (state,) = exchange.states(answer(link, netem=json.dumps([root, netem])))
        return state.problems()

    assert problems(0.02) == []
    assert [problem.partition(":")[0] for problem in problems(0.04)] == ["client 3 up"], "up never has 40 ms"


def test_a_profile_that_the_probe_remembers_is_deflated():
    _, spec = exchange.packed_profile(long_trace(60))
    assert json.loads(zlib.decompress(base64.b64decode(spec["text"])))["name"] == "long"
    assert len(spec["text"]) < 60_000
