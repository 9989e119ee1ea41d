"""Where a lab kernel lives on this machine: its names, addresses and folders, as values.

Pure. Place 0 is the one that labs use; tests take others, so that they never meet a lab of a person.
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
"""Docker's own for TCP without TLS: the link has two ends, and both are on this machine."""

_LINK_PREFIX = 30
_FIRST_USER = 60700
"""Inside 60578 to 61183, which Debian and systemd give to nobody: so a process with such a user id is ours."""

MAX_NUMBER = (KERNEL_LINKS.num_addresses >> (32 - _LINK_PREFIX)) - 1


class Place(msgspec.Struct, frozen=True):
    """One lab kernel's place, by *number*."""

    number: int = 0

    def __post_init__(self) -> None:
        """Refuse a number that has no addresses."""
        check(0 <= self.number <= MAX_NUMBER, "kernel", self.number, f"0 to {MAX_NUMBER}")

    @property
    def link(self) -> ipaddress.IPv4Network:
        """The link's network: this machine has its first address, the kernel its second."""
        base = int(KERNEL_LINKS.network_address) + (self.number << (32 - _LINK_PREFIX))
        return ipaddress.IPv4Network((base, _LINK_PREFIX))

    @property
    def host_address(self) -> str:
        """This machine's end."""
        return str(self.link[1])

    @property
    def guest_address(self) -> str:
        """The kernel's end."""
        return str(self.link[2])

    @property
    def endpoint(self) -> str:
        """What ``DOCKER_HOST`` would be."""
        return f"tcp://{self.guest_address}:{PORT}"

    @property
    def tap(self) -> str:
        """The network interface of the link on this machine."""
        return f"flumelab{self.number}"

    @property
    def user(self) -> int:
        """The user id that the kernel's processes have, and nobody else."""
        return _FIRST_USER + self.number

    @property
    def folder(self) -> Path:
        """The kernel's own files; the copy-on-write disk stands in ``state``."""
        return Path("/var/lib/flumelab") / f"kernel-{self.number}"

    @property
    def record(self) -> Path:
        """Which process it is; gone after a reboot, as the process is."""
        return RUN / f"kernel-{self.number}.json"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops it."""
        return RUN / f"kernel-{self.number}.lock"

    @property
    def log(self) -> Path:
        """What the kernel and its engine say."""
        return LOGS / f"flumelab-kernel-{self.number}.log"


class Running(msgspec.Struct, frozen=True):
    """A lab kernel that was started. Its start time tells it from a later process with the same number."""

    pid: int
    start_ticks: int
    disk: str
    """The disk that it has its images from."""


def processor(place: Place, allowed: Collection[int]) -> int:
    """Return the processor for the kernel at *place*, of those *allowed*: the last, for further kernels others.

    The kernel and its programs are processes that wait for one another at every system call and page fault. Kept on
    one processor they need not wake another each time. Measured in turn on two shared ones: 24 µs for a system call
    instead of 130 to 220, and a container starts in 4 s instead of 14 to 27.
    """
    return sorted(allowed, reverse=True)[place.number % len(allowed)]


def boot_command(place: Place, disk: Path, *, memory_mib: int, processor: int, scripts: Path) -> list[str]:
    """Return the command that becomes the lab kernel; see ``enter.sh``."""
    return [
        *("taskset", "--cpu-list", str(processor)),
        *("unshare", "--mount", "--propagation", "private", "--ipc", "--uts", "--pid", "--fork", "--kill-child"),
        *("sh", str(scripts / "enter.sh"), str(place.folder), place.tap, place.guest_address),
        *(str(place.link.prefixlen), str(place.user), str(memory_mib), str(disk)),
    ]


def tap_commands(place: Place) -> list[list[str]]:
    """Return the commands that make the link's interface."""
    user = str(place.user)
    return [
        ["ip", "tuntap", "add", "dev", place.tap, "mode", "tap", "user", user, "group", user],
        ["ip", "address", "add", f"{place.host_address}/{place.link.prefixlen}", "dev", place.tap],
        ["ip", "link", "set", place.tap, "up"],
    ]


def memory_mib(total_kib: int) -> int:
    """Return how much memory the kernel may take of *total_kib*: half, at most 4 GiB."""
    return min(4096, total_kib // 2048)
