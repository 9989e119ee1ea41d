"""The program ``overlay NETWORK COMMAND …``: runs a command where the engine keeps its ends of an overlay's links.

For each overlay network the engine has a network namespace with a bridge, the VXLAN interface, and one end of each
container's eth0. It is none of a process: a file in the engine's own /run leads to it, ``/run/docker/netns/1-`` and the
first ten characters of the network's identity (Docker 20.10 to 28; libnetwork, drivers/overlay). The engine's process
is known by its name, and its files are reached through /proc, so no folder of the host is mounted here.
"""

import os
import sys
from collections.abc import Iterable, Sequence

from probe.commands import ProbeError

_NAMES = frozenset(("dockerd", "dockerd-current"))
_ID_CHARACTERS = 10


def namespace_file(pid: int, network: str) -> str:
    """Return the file that leads to the namespace of the overlay *network* on the engine that is process *pid*.

    Not /var/run, which is a link: an absolute one would be followed in our own root.

    >>> namespace_file(7, "ikqx5ntl1z9d2w")
    '/proc/7/root/run/docker/netns/1-ikqx5ntl1z'
    """
    return f"/proc/{pid}/root/run/docker/netns/1-{network[:_ID_CHARACTERS]}"


def chosen(engines: Sequence[int], having: Sequence[str], network: str) -> str:
    """Return the one file of *having*; raise :class:`ProbeError` that says why it is not one.

    >>> chosen([7], ["/proc/7/root/run/docker/netns/1-ikqx5ntl1z"], "ikqx5ntl1z9d")
    '/proc/7/root/run/docker/netns/1-ikqx5ntl1z'
    """
    if len(having) == 1:
        return having[0]
    if not engines:
        raise ProbeError(
            "no process dockerd is seen on this host, so the links of an overlay cannot be reached: the engine must "
            "run as root on the host itself, not rootless and not in Docker Desktop"
        )
    found = f"{len(having)} of the {len(engines)} engines on this host have"
    raise ProbeError(f"{found} the overlay network {network[:_ID_CHARACTERS]}: its links cannot be told")


def engines() -> list[int]:
    """Return the processes that are Docker engines, by their names."""
    return [pid for pid in _pids(os.listdir("/proc")) if _name(pid) in _NAMES]


def _pids(names: Iterable[str]) -> list[int]:
    return sorted(int(name) for name in names if name.isdigit())


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:  # it has ended
        return ""


def main(arguments: Sequence[str]) -> None:
    """Become the command, in the namespace of the network; end with one line and status 1 where that is not found."""
    try:
        match arguments:
            case [network, program, *rest]:
                there = engines()
                having = [file for pid in there if os.path.exists(file := namespace_file(pid, network))]
                file = chosen(there, having, network)
                os.execvp("nsenter", ["nsenter", f"--net={file}", "--", program, *rest])  # noqa: S606, S607 - our image's
            case _:
                raise ProbeError("usage: overlay NETWORK COMMAND ...")
    except (ProbeError, OSError) as error:
        sys.exit(f"overlay: {error}")
