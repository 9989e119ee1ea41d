"""What the bench needs of the host, and what the host is."""

import os
import platform
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bench.senders import Sender, all_senders
from bench.values import BenchError
from flume.errors import SetupError
from flume.lab.machine import packages

BASE = {
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "nft": "nftables",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "setpriv": "util-linux",
}
"""Program or file → Debian package. Without these the bench cannot measure at all."""

DESCRIPTORS = 8192
"""Open files. A thousand clients of flume need two sockets each in the bench, and a copy of one in the sink."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The host on which the figures were measured."""

    processors: int
    model: str
    kernel: str
    python: str


def describe() -> Machine:
    """Return the CPU, kernel and Python of this host."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    processors = len(os.sched_getaffinity(0))
    return Machine(processors=processors, model=model, kernel=platform.release(), python=platform.python_version())


def prepare_process() -> None:
    """Extend the path by the system's programs and raise the limit on open files; the senders inherit both."""
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def senders_here(
    wanted: tuple[str, ...], say: Callable[[str], None], *, interactive: bool
) -> tuple[dict[str, Sender], dict[str, list[str]]]:
    """Install the packages of the *wanted* senders (all if empty).

    Returns the senders that can run, and for each of the others the packages that are missing. Raises
    :class:`BenchError` for an unknown sender, and when a package is missing that the bench itself needs.
    """
    every = all_senders(platform.machine())
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise BenchError(f"there is no sender {', '.join(unknown)}: choose from {', '.join(every)}")
    chosen = {name: sender for name, sender in every.items() if not wanted or name in wanted}
    needs: Mapping[str, str] = BASE
    for sender in chosen.values():
        needs = {**needs, **sender.needs}
    try:
        packages.install(needs, "the benchmark compares flume with other senders", say, interactive)
    except SetupError as error:
        say(f"bench: {error}")
    lacking = packages.missing(BASE)
    if lacking:
        raise BenchError(f"the benchmark needs {', '.join(lacking)}: install the packages and try again")
    absent = {name: lacks for name, sender in chosen.items() if (lacks := packages.missing(sender.needs))}
    return {name: sender for name, sender in chosen.items() if name not in absent}, absent
