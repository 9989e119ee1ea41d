"""The places of lab kernels: apart from one another and from every lab."""

import ipaddress
from pathlib import Path

import pytest

from flume.errors import SettingsError
from flume.lab.containers import topology
from flume.lab.kernel.instance import MAX_NUMBER, Place, boot_command, memory_mib, processor, tap_commands


def test_places_share_nothing() -> None:
    """Each number has its own addresses, user id, interface and files; an interface's name holds 15 bytes at most."""
    places = [Place(number) for number in range(MAX_NUMBER + 1)]
    for attribute in ("link", "host_address", "guest_address", "endpoint", "tap", "user", "folder", "record", "log"):
        assert len({str(getattr(place, attribute)) for place in places}) == len(places), attribute
    assert all(len(place.tap) <= 15 for place in places)
    assert all(60578 <= place.user <= 61183 for place in places)


def test_no_lab_takes_the_address_of_a_link() -> None:
    """Not even a large lab, wherever it begins to look."""
    links = [Place(number).link for number in range(MAX_NUMBER + 1)]
    for clients in (5, 400, 3000):
        offered = list(topology.candidate_subnets(clients))
        assert offered
        assert not any(subnet.overlaps(link) for subnet in offered for link in links)
    assert all(link.subnet_of(topology.POOL) for link in links)


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1])
def test_a_place_without_addresses_is_refused(number: int) -> None:
    """The error names the range."""
    with pytest.raises(SettingsError, match=f"0 to {MAX_NUMBER}"):
        Place(number)


def test_the_commands_name_the_place() -> None:
    """The link has two addresses, of which the kernel gets the second."""
    place = Place(2)
    command = boot_command(place, Path("/x/disk.ext4"), memory_mib=512, processor=5, scripts=Path("/s"))
    assert command[:4] == ["taskset", "--cpu-list", "5", "unshare"]
    assert {"--mount", "--pid", "--kill-child"} <= set(command)
    assert command[-7:] == [str(place.folder), "flumelab2", "198.19.255.10", "30", "60702", "512", "/x/disk.ext4"]
    assert ["ip", "address", "add", "198.19.255.9/30", "dev", "flumelab2"] in tap_commands(place)
    assert ipaddress.ip_address(place.host_address) in place.link


@pytest.mark.parametrize(("total_kib", "expected"), [(24 << 20, 4096), (4 << 20, 2048), (1 << 20, 512)])
def test_the_kernel_takes_half_of_the_memory_at_most(total_kib: int, expected: int) -> None:
    """And never more than a lab needs."""
    assert memory_mib(total_kib) == expected


@pytest.mark.parametrize(
    ("number", "allowed", "expected"), [(0, {0, 1}, 1), (1, {0, 1}, 0), (2, {0, 1}, 1), (3, {7}, 7), (0, {2, 9, 4}, 9)]
)
def test_each_kernel_has_one_processor_of_those_we_may_use(number: int, allowed: set[int], expected: int) -> None:
    """Two kernels do not share one while there is another."""
    assert processor(Place(number), allowed) == expected
