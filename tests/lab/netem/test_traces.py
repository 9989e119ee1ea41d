"""A trace is played on a real link: what arrives is what the trace lets pass, moment by moment."""

import base64
import time
import zlib
from array import array
from pathlib import Path
from typing import NamedTuple

import pytest

from flume.lab.containers.probe import sections
from flume.lab.hosts.links import SiteLinks
from flume.lab.link import exchange
from flume.lab.link.profile import FRAME_BYTES, Profile
from flume.lab.link.profile_file import find_profile
from flume.lab.link.trace import OPPORTUNITY_BYTES
from support.labs.netem_labs import NetemLab, profile

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

RATES_KBIT = (6000, 1000, 0, 3000)
"""For a second each."""
OFFERED_KBIT = 9000
"""More than the link ever lets pass."""
PLAYED_S = 8


def mahimahi() -> str:
    """Return a trace with :data:`RATES_KBIT`; the last opportunity ends it."""
    lines = []
    for second, kbit in enumerate(RATES_KBIT):
        count = round(kbit * 125 / OPPORTUNITY_BYTES)
        lines += [1000 * second + at * 1000 // count for at in range(count)]
    return "".join(f"{at_ms}\n" for at_ms in [*lines[:-1], 1000 * len(RATES_KBIT)])


@pytest.fixture
def traced(tmp_path: Path) -> Profile:
    """A link that follows the trace towards the client, with a queue of 100 kB."""
    (tmp_path / "seconds.down").write_text(mahimahi())
    text = '[down]\ntrace = "seconds.down"\ndelay_ms = 20\nqueue_bytes = 100_000\n[up]\ndelay_ms = 20\n'
    (tmp_path / "traced.toml").write_text(text)
    return find_profile(tmp_path, str(tmp_path / "traced.toml"))


class Passed(NamedTuple):
    """What came out of a link that was offered more than it lets pass."""

    numbers: "array[int]"
    times_s: list[float]

    def kbit_s(self, start_s: float, end_s: float) -> float:
        """Return the rate between two moments of the wall clock."""
        frames = sum(start_s <= at_s < end_s for at_s in self.times_s)
        return frames * FRAME_BYTES * 8 / 1000 / (end_s - start_s)


def saturate(lab: NetemLab, client: int) -> Passed:
    """Send full frames towards *client* for :data:`PLAYED_S`."""
    step_us = round(FRAME_BYTES * 8000 / OFFERED_KBIT)
    pid = next(one.container.pid for one in lab.fleet.clients if one.number == client)
    down = [[0, PLAYED_S * 1_000_000 // step_us, step_us, FRAME_BYTES]]
    request = {
        "links": [{"number": client, "pid": pid, "down": down, "up": []}],
        "drain_us": 5_000_000,
    }  # a period: what waits in an outage leaves after it
    found = sections(lab.fleet.probe.container.run_checked(exchange.command("measure", request)))
    _, _, numbers, came_ns, _ = found[f"{client}.down", "samples"].split()
    unpacked = [array(kind, zlib.decompress(base64.b64decode(text))) for kind, text in (("i", numbers), ("q", came_ns))]
    return Passed(unpacked[0], [at_ns / 1e9 for at_ns in unpacked[1]])


def test_the_rate_follows_the_trace_and_an_outage_lets_nothing_pass(netem_lab: NetemLab, traced: Profile) -> None:
    """Datagrams that wait when the rate changes leave at the new rate. What is lost, netem has counted."""
    links: SiteLinks = netem_lab.links
    links.set(traced, [1])
    assert links.calibrate([1])[0].deviations == (), "at rest the link has the mean of the trace"
    lost = links.lost()[1]
    passed = saturate(netem_lab, 1)
    counts = links.steps()[1]
    links.set(profile("clean"), [1])
    assert list(passed.numbers) == sorted(passed.numbers)
    assert links.lost()[1] == lost, "netem's drops are the frames that are missing"
    assert (counts.late, traced.period_s) == (0, 4)
    behind_s = counts.latest_ms / 1000 + 0.05
    seen: dict[int, list[float]] = {kbit: [] for kbit in RATES_KBIT}
    second = int(passed.times_s[0]) + 2
    while second + 1 < passed.times_s[-1] - 2:
        seen[RATES_KBIT[second % 4]].append(passed.kbit_s(second + behind_s, second + 1))
        second += 1
    assert min(map(len, seen.values())) >= 1
    for kbit, rates in seen.items():
        frame_kbit = FRAME_BYTES * 8 / 1000 / (1 - behind_s)
        assert all(rate == pytest.approx(kbit, rel=0.1, abs=2 * frame_kbit) for rate in rates), (kbit, rates)


def test_the_steps_go_on_while_another_link_is_set_and_end_with_another_profile(
    netem_lab: NetemLab, traced: Profile
) -> None:
    """One process makes the steps of all links; each link has its own plan."""
    links: SiteLinks = netem_lab.links
    links.set(traced, [1, 2])
    links.set(profile("dsl"), [2])
    before = links.steps()
    time.sleep(3)
    links.check()
    after = links.steps()
    links.set(profile("clean"), [1, 2])
    assert before.keys() == after.keys() == {1}
    assert after[1].due > before[1].due
    assert links.steps() == {}
