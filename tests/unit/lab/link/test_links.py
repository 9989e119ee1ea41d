"""Links are measured by what the probe answers: twice where a figure is out of tolerance, and not without saying so."""

import base64
import random
import zlib
from array import array
from collections.abc import Sequence
from itertools import count
from typing import Any, cast

import pytest

from flume.errors import LabError
from flume.lab.containers.probe import Probe
from flume.lab.link import exchange, traffic
from flume.lab.link.links import Links
from flume.lab.link.model import Sent, simulate
from flume.lab.link.profile import Direction, Profile
from probe.link_probe import unpacked
from probe.timing import Phase, due_times_us, frame_sizes

LAN = Direction(delay_ms=20)
PROFILE = Profile(name="lan", description="", down=LAN, up=LAN)
NETEM = (
    '[{"kind":"prio","handle":"1:","root":true,"options":{"bands":3,"priomap":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}},'
    '{"kind":"netem","handle":"10:","parent":"1:2","options":{"limit":10000,"delay":{"delay":0.02},"rate":{"rate":12500000000}},'
    '"packets":0,"bytes":0,"drops":0,"qlen":0},'
    '{"kind":"netem","handle":"30:","parent":"1:3","options":{"limit":1000},'
    '"packets":0,"bytes":0,"drops":0,"qlen":0}]'
)


class FakeProbe:
    """Answers as ``link-probe`` does for clients 1 and 2; *late_ms* is added to the delay in each measurement."""

    def __init__(self, *late_ms: float, ended: str = "") -> None:
        self._late_ms = iter(late_ms)
        self._ended = ended
        self.measured: list[dict[str, Any]] = []
        self._seeds = count()

    @property
    def container(self) -> "FakeProbe":
        return self

    def run_checked(self, arguments: Sequence[str]) -> str:
        _, action, *spec = arguments
        request = unpacked(spec)
        links: list[dict[str, Any]] = request["links"] if action == "measure" else [{"number": 1}, {"number": 2}]
        parts = {("all", "netem"): "0", ("all", "spare"): "3 0", ("all", "ended"): self._ended}
        key, packed = exchange.packed_profile(PROFILE)
        parts[key, "text"] = packed["text"]
        for link in links:
            number = str(link["number"])
            parts |= {
                (number, "link"): f"{900 + link['number']} 77",
                (number, "own"): "0 0",
                (number, "steps"): "1 0 0 0",
                (number, "remembered"): f"{900 + link['number']} {key}",
            }
            parts |= {(number, "down"): NETEM, (number, "up"): NETEM, (number, "profile"): key}
        if action == "measure":
            self.measured.append(request)
            late_ms = next(self._late_ms)
            for link in links:
                parts |= {
                    (f"{link['number']}.{name}", "samples"): self._samples(link[name], late_ms if name == "down" else 0)
                    for name in ("down", "up")
                }
        return "".join(f"=== flumelab {subject} {kind}\n{text}\n" for (subject, kind), text in parts.items())

    def _samples(self, fields: list[list[int]], late_ms: float) -> str:
        """Return the samples of a link with the delay of the profile and *late_ms*."""
        phases = [Phase(*one) for one in fields]
        sent = [Sent(us / 1e6, size) for us, size in zip(due_times_us(phases), frame_sizes(phases), strict=True)]
        arrivals = simulate(Direction(delay_ms=20 + late_ms), sent, random.Random(next(self._seeds)).random)
        arrays = (
            array("q", [round(1e9 * one.at_s) for one in sent]),
            array("i", [one.number for one in arrivals]),
            array("q", [round(1e9 * one.at_s) for one in arrivals]),
            array("b", bytes(len(arrivals))),
        )
        return "\n".join(["0", *(base64.b64encode(zlib.compress(one.tobytes())).decode() for one in arrays)])


def links(probe: FakeProbe) -> Links:
    """Return the links of two clients through a wire."""
    stand_in: Any = probe
    used: Probe = stand_in
    return Links(used, {1: 901, 2: 902}, [77])


def test_links_as_they_were_set_are_measured_once() -> None:
    """Both directions of both clients."""
    probe = FakeProbe(0)
    reports = links(probe).calibrate()
    assert [(one.client, one.direction) for one in reports] == [(1, "down"), (1, "up"), (2, "down"), (2, "up")]
    assert {(one.deviations, one.first) for one in reports} == {((), ())}
    assert len(probe.measured) == 1


def test_a_link_that_was_measured_again_is_reported_with_its_first_figures() -> None:
    """More slowly, because the computer was busy."""
    probe = FakeProbe(60, 0)
    down, up, *_ = links(probe).calibrate(effort=traffic.BRIEF)
    assert (down.deviations, up.deviations, up.first) == ((), (), ())
    assert any("delay_ms p50 is 80" in one for one in down.first), down.first
    first, second = (
        max(step_us for link in one["links"] for _, _, step_us, _ in link["down"]) for one in probe.measured
    )
    assert second >= first


def test_a_link_that_is_wrong_twice_is_wrong() -> None:
    """Both results are there."""
    down, *_ = links(FakeProbe(60, 70)).calibrate()
    assert any("delay_ms p50 is 90" in one for one in down.deviations)
    assert any("delay_ms p50 is 80" in one for one in down.first)


def test_links_that_ended_with_their_wire_are_an_error_that_says_what_to_do() -> None:
    """Whatever is asked of them."""
    with pytest.raises(
        LabError, match=r"clients 1, 2 have ended with their wire or their eth0: start the lab again \(make lab\)"
    ):
        links(FakeProbe(ended="1 2")).lost()


def test_a_wire_has_to_have_a_place_for_each_link_that_passes_through_none() -> None:
    """Two links are in wires, and three places are left."""
    probe: Any = FakeProbe()
    assert links(probe).places_missing() == 0
    assert Links(probe, {number: 900 + number for number in range(1, 9)}, [77]).places_missing() == 3


def test_a_client_that_was_started_again_has_lost_its_link():
    """It has another process. Its interface is new, and leads past netem."""
    links = Links(cast("Probe", FakeProbe()), {1: 901, 2: 1902}, [77])
    lapsed = links.lapsed()
    assert {number: profile.name for number, profile in lapsed.profiles.items()} == {2: "lan"}
    assert lapsed.unknown == []
    assert set(links.present()) == {1}


def test_a_link_of_which_nothing_is_remembered_is_unknown_where_links_can_be_shaped():
    """As after a new start of the probe."""
    assert Links(cast("Probe", FakeProbe()), {1: 901, 3: 903}, [77]).lapsed().unknown == [3]
    assert Links(cast("Probe", FakeProbe()), {1: 901, 3: 903}).lapsed().unknown == [], "nothing here can shape a link"
