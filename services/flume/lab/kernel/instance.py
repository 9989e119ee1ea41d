"""The names, addresses and folders of a lab kernel on this machine, as values. Pure.

Labs use instance 0. Tests use other numbers, so that they never touch a lab that a person runs.
"""

import ipaddress
from collections.abc import Collection
from pathlib import Path

import msgspec

from flume.lab.containers.topology import KERNEL_LINKS
from flume.settings import check

RUN = Path("/run/flumelab")
LOGS = Path("/var/log")
PORT = 2375
"""Docker's port for TCP without TLS. Both ends of the link are on this machine."""

_LINK_PREFIX = 30
_FIRST_USER = 60700
"""Inside 60578 to 61183, which Debian and systemd assign to no user: a process with such a user id is ours."""

MAX_NUMBER = (KERNEL_LINKS.num_addresses >> (32 - _LINK_PREFIX)) - 1


class KernelInstance(msgspec.Struct, frozen=True):
    """What belongs to lab kernel *number*.

    >>> KernelInstance(0).endpoint
    'tcp://198.19.255.2:2375'
    """

    number: int = 0

    def __post_init__(self) -> None:
        """Refuse a number that has no addresses."""
        check(0 <= self.number <= MAX_NUMBER, "kernel", self.number, f"0 to {MAX_NUMBER}")

    @property
    def link(self) -> ipaddress.IPv4Network:
        """The network of the link: this machine has its first address, the kernel its second."""
        base = int(KERNEL_LINKS.network_address) + (self.number << (32 - _LINK_PREFIX))
        return ipaddress.IPv4Network((base, _LINK_PREFIX))

    @property
    def host_address(self) -> str:
        """This machine's address on the link."""
        return str(self.link[1])

    @property
    def guest_address(self) -> str:
        """The kernel's address on the link."""
        return str(self.link[2])

    @property
    def endpoint(self) -> str:
        """The address of its engine, in the form of ``DOCKER_HOST``."""
        return f"tcp://{self.guest_address}:{PORT}"

    @property
    def tap_device(self) -> str:
        """The name of the link's interface on this machine, a TAP device (TUN/TAP)."""
        return f"flumelab{self.number}"

    @property
    def user(self) -> int:
        """The user id of the kernel's processes; no other process has it."""
        return _FIRST_USER + self.number

    @property
    def folder(self) -> Path:
        """The kernel's own files; the copy-on-write disk is in ``state``."""
        return Path("/var/lib/flumelab") / f"kernel-{self.number}"

    @property
    def record(self) -> Path:
        """The file that names its process (:class:`Running`). A reboot removes it together with the process."""
        return RUN / f"kernel-{self.number}.json"

    @property
    def lock(self) -> Path:
        """The file that is locked while the kernel is started or stopped."""
        return RUN / f"kernel-{self.number}.lock"

    @property
    def log(self) -> Path:
        """The output of the kernel and its engine."""
        return LOGS / f"flumelab-kernel-{self.number}.log"


class Running(msgspec.Struct, frozen=True):
    """The process of a lab kernel. Its start time distinguishes it from a later process with the same number."""

    pid: int
    start_ticks: int
    disk: str
    """Path of the disk with its images."""


def cpu_for(instance: KernelInstance, allowed: Collection[int]) -> int:
    """Return the CPU for the kernel, one of *allowed*: the last one for instance 0, others for further instances.

    The kernel and its programs are processes that wait for one another at every system call and page fault. On one CPU
    no process has to wake another CPU each time. Measured in turn on two shared CPUs: 24 µs for a system call instead
    of 130 to 220, and a container starts in 4 s instead of 14 to 27.
    """
    return sorted(allowed, reverse=True)[instance.number % len(allowed)]


def boot_command(instance: KernelInstance, disk: Path, *, memory_mib: int, cpu: int, scripts: Path) -> list[str]:
    """Return the command that becomes the lab kernel; see ``enter.sh``."""
    return [
        *("taskset", "--cpu-list", str(cpu)),
        *("unshare", "--mount", "--propagation", "private", "--ipc", "--uts", "--pid", "--fork", "--kill-child"),
        *("sh", str(scripts / "enter.sh"), str(instance.folder), instance.tap_device, instance.guest_address),
        *(str(instance.link.prefixlen), str(instance.user), str(memory_mib), str(disk)),
    ]


def tap_device_commands(instance: KernelInstance) -> list[list[str]]:
    """Return the commands that make the TAP device of the link and set its address."""
    user = str(instance.user)
    return [
        ["ip", "tuntap", "add", "dev", instance.tap_device, "mode", "tap", "user", user, "group", user],
        ["ip", "address", "add", f"{instance.host_address}/{instance.link.prefixlen}", "dev", instance.tap_device],
        ["ip", "link", "set", instance.tap_device, "up"],
    ]


def memory_mib(total_kib: int) -> int:
    """Return how much memory the kernel may take of *total_kib*: half, at most 4 GiB."""
    return min(4096, total_kib // 2048)
