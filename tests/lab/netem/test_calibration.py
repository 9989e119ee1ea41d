"""Links set to each profile are measured, and a link that was changed behind the lab's back is an ERROR of the lab."""

from collections.abc import Iterator

import pytest

from flume.errors import EvidenceError
from flume.lab import catalogue
from flume.lab.link.links import LinkReport
from support.labs.netem_labs import CLIENTS, NetemLab, profile
from support.paths import PROFILES

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


def rounds() -> Iterator[dict[int, str]]:
    """Yield the profile of each client's link, as many profiles at a time as there are clients."""
    names = catalogue.names(PROFILES)
    for first in range(0, len(names), CLIENTS):
        yield dict(enumerate(names[first : first + CLIENTS], 1))


@pytest.fixture(scope="module")
def reports(netem_lab: NetemLab) -> dict[str, list[LinkReport]]:
    """The measurement of every profile, down and up."""
    found: dict[str, list[LinkReport]] = {}
    for names in rounds():
        netem_lab.links.set_each({number: profile(name) for number, name in names.items()}, steps=False)
        for report in netem_lab.links.calibrate(list(names)):
            found.setdefault(report.profile, []).append(report)
    return found


@pytest.mark.parametrize("name", catalogue.names(PROFILES))
def test_a_profile_does_what_it_says(name: str, reports: dict[str, list[LinkReport]]) -> None:
    """In both directions: delay, loss, bursts, rate, order."""
    assert [report.direction for report in reports[name]] == ["down", "up"]
    assert [report.deviations for report in reports[name]] == [(), ()]


@pytest.fixture
def link(netem_lab: NetemLab) -> Iterator[None]:
    """Set client 1 to the profile dsl; restore its link afterwards."""
    netem_lab.links.set(profile("dsl"), [1])
    yield
    netem_lab.links.set(profile("clean"), [1])


def test_a_qdisc_changed_behind_the_labs_back_is_the_labs_error(netem_lab: NetemLab, link: None) -> None:
    """The settings read back differ from the profile, so no measurement and no verdict rests on that link."""
    netem_lab.links.check()
    netem_lab.change_link(1, "qdisc change dev LINK parent 1:2 handle 10: netem delay 33ms rate 500kbit limit 777")
    with pytest.raises(EvidenceError, match=r"client 1 down: .*delay_s is 0.033 and should be"):
        netem_lab.links.check()
    with pytest.raises(EvidenceError, match="client 1 down") as caught:
        netem_lab.links.calibrate([1])
    assert caught.value.exit_code == 3, "ERROR, not FAIL"
    netem_lab.links.check([2, 3])


def test_a_path_around_the_qdisc_is_found_by_measuring(netem_lab: NetemLab, link: None) -> None:
    """netem has the right settings, but the frames do not pass through it."""
    place = "dev LINK parent 1: protocol ip prio 5"
    netem_lab.change_link(1, f"filter add {place} handle 9 flower ip_proto udp classid 1:1")
    try:
        netem_lab.links.check()
        down, up = netem_lab.links.calibrate([1])
    finally:
        netem_lab.change_link(1, f"filter del {place}")
    assert any("delay_ms" in deviation for deviation in down.deviations), down
    assert up.deviations == ()


def test_calibration_does_not_count_as_lost_media(netem_lab: NetemLab) -> None:
    """Neither do the frames that earlier calibrations lost."""
    netem_lab.links.set(profile("lossy-10"), [1, 2])
    before = netem_lab.links.lost()
    reports = netem_lab.links.calibrate([1, 2])
    assert all(report.measured.sent - report.measured.received > 50 for report in reports)
    assert netem_lab.links.lost() == before
