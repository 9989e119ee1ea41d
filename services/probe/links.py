"""The links of a lab, and what is remembered of each in the probe's /run.

A link is the pair of interfaces between a client's network namespace (eth0) and this one, which is the engine host's.
"""

import os
import socket
from typing import NamedTuple

from probe.commands import ProbeError, entered, run

STATE = "/run/links"


class Link(NamedTuple):
    """The link of client *number*: *pid* is a process in its namespace, *interface* this namespace's end."""

    number: int
    pid: int
    interface: str

    @property
    def exists(self) -> bool:
        """Whether both ends are still there."""
        return os.path.exists(f"/proc/{self.pid}") and os.path.exists(f"/sys/class/net/{self.interface}")


def path(number: int | str, kind: str) -> str:
    """Return the file that remembers *kind* of link *number*; the number ``all`` is for facts about the kernel."""
    return f"{STATE}/{number}.{kind}"


def read(number: int | str, kind: str) -> str:
    """Return what is remembered, or an empty text."""
    try:
        with open(path(number, kind)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(number: int | str, kind: str, text: str) -> None:
    """Remember *text*; another process sees the old text or the new one, never a part."""
    with open(path(number, kind) + ".new", "w") as file:
        file.write(text)
    os.replace(path(number, kind) + ".new", path(number, kind))


def existing_links() -> list[Link]:
    """Return the links that were ever set here and still exist, by number."""
    links = []
    for number in sorted(int(name.partition(".")[0]) for name in os.listdir(STATE) if name.endswith(".link")):
        pid, interface = read(number, "link").split()
        links.append(Link(number, int(pid), interface))
    return [link for link in links if link.exists]


def link_of(number: int, pid: int) -> Link:
    """Return the link of client *number* with process *pid*: from memory where it is the same process.

    A new process has a new link, which has lost nothing yet.
    """
    remembered = read(number, "link").split()
    if remembered[:1] == [str(pid)]:
        return Link(number, pid, remembered[1])
    write(number, "own", "0 0")
    return Link(number, pid, _host_end(pid))


def _host_end(pid: int) -> str:
    """Return the name of this namespace's end of the link of process *pid*: the peer of its eth0."""
    line = run([*entered(pid), "ip", "-o", "link", "show", "dev", "eth0"])
    name = line.split()[1].rstrip(":")  # eth0@if12
    wanted = int(name.rpartition("@if")[2])
    for index, interface in socket.if_nameindex():
        if index == wanted:
            return interface
    raise ProbeError(
        f"interface {wanted}, the other end of eth0 of process {pid}, is not in the engine host's namespace"
    )
