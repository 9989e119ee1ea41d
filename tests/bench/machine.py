"""What the bench needs of the machine, and what the machine is."""

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
"""Program or file → Debian package; without these there is no measurement at all."""

DESCRIPTORS = 8192
"""A thousand clients of flume have two sockets each in the bench, and the sink a copy of one."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were measured on."""

    processors: int
    model: str
    kernel: str
    python: str


def describe() -> Machine:
    """Return what this machine is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    processors = len(os.sched_getaffinity(0))
    return Machine(processors=processors, model=model, kernel=platform.release(), python=platform.python_version())


def prepare_process() -> None:
    """Find the system's programs, and raise the limit on open files, for us and for the senders, which inherit both."""
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def senders_here(
    wanted: tuple[str, ...], say: Callable[[str], None], *, interactive: bool
) -> tuple[dict[str, Sender], dict[str, list[str]]]:
    """Install what *wanted* senders need; return those that can run, and for the others the packages they lack.

    Raises :class:`BenchError` when the bench itself lacks something.
    """
    every = all_senders(platform.machine())
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise BenchError(f"there is no sender {', '.join(unknown)}: choose of {', '.join(every)}")
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
        raise BenchError(f"the benchmark cannot do without {', '.join(lacking)}: install the packages and try again")
    absent = {name: lacks for name, sender in chosen.items() if (lacks := packages.missing(sender.needs))}
    return {name: sender for name, sender in chosen.items() if name not in absent}, absent
