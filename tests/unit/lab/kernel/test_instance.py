"""The instances of lab kernels share nothing with one another, and no address with a lab."""

import ipaddress
from pathlib import Path

import pytest

from flume.errors import SettingsError
from flume.lab.containers import topology
from flume.lab.kernel.instance import (
    MAX_NUMBER,
    KernelInstance,
    boot_command,
    cpu_for,
    memory_mib,
    tap_device_commands,
)


def test_instances_share_nothing() -> None:
    """Each number has its own addresses, user id, interface and files; an interface's name holds 15 bytes at most."""
    instances = [KernelInstance(number) for number in range(MAX_NUMBER + 1)]
    for attribute in (
        "link",
        "host_address",
        "guest_address",
        "endpoint",
        "tap_device",
        "user",
        "folder",
        "record",
        "log",
    ):
        assert len({str(getattr(instance, attribute)) for instance in instances}) == len(instances), attribute
    assert all(len(instance.tap_device) <= 15 for instance in instances)
    assert all(60578 <= instance.user <= 61183 for instance in instances)


def test_no_lab_takes_the_address_of_a_link() -> None:
    """Not even a large lab, whichever subnet it tries first."""
    links = [KernelInstance(number).link for number in range(MAX_NUMBER + 1)]
    for clients in (5, 400, 3000):
        offered = list(topology.candidate_subnets(clients))
        assert offered
        assert not any(subnet.overlaps(link) for subnet in offered for link in links)
    assert all(link.subnet_of(topology.POOL) for link in links)


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1])
def test_an_instance_without_addresses_is_refused(number: int) -> None:
    """The error names the range."""
    with pytest.raises(SettingsError, match=f"0 to {MAX_NUMBER}"):
        KernelInstance(number)


def test_the_commands_name_the_instance() -> None:
    """The link has two addresses; the kernel gets the second."""
    instance = KernelInstance(2)
    command = boot_command(instance, Path("/x/disk.ext4"), memory_mib=512, cpu=5, scripts=Path("/s"))
    assert command[:4] == ["taskset", "--cpu-list", "5", "unshare"]
    assert {"--mount", "--pid", "--kill-child"} <= set(command)
    assert command[-7:] == [str(instance.folder), "flumelab2", "198.19.255.10", "30", "60702", "512", "/x/disk.ext4"]
    assert ["ip", "address", "add", "198.19.255.9/30", "dev", "flumelab2"] in tap_device_commands(instance)
    assert ipaddress.ip_address(instance.host_address) in instance.link


@pytest.mark.parametrize(("total_kib", "expected"), [(24 << 20, 4096), (4 << 20, 2048), (1 << 20, 512)])
def test_the_kernel_takes_half_of_the_memory_at_most(total_kib: int, expected: int) -> None:
    """And at most what a lab needs, 4 GiB."""
    assert memory_mib(total_kib) == expected


@pytest.mark.parametrize(
    ("number", "allowed", "expected"), [(0, {0, 1}, 1), (1, {0, 1}, 0), (2, {0, 1}, 1), (3, {7}, 7), (0, {2, 9, 4}, 9)]
)
def test_each_kernel_has_one_cpu_of_those_we_may_use(number: int, allowed: set[int], expected: int) -> None:
    """Two kernels share a CPU only where there is no other."""
    assert cpu_for(KernelInstance(number), allowed) == expected
