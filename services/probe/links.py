"""The links of a lab, and what is remembered of each in the probe's /run.

A link leads from an interface in this namespace, which is the engine host's, to eth0 in a client's namespace. It is one
veth pair, or two with a wire between them.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import NamedTuple

STATE = "/run/links"


class Link(NamedTuple):
    """The link of client *number*: *pid* is a process in its namespace, *interface* this namespace's end."""

    number: int
    pid: int
    interface: str
    wire: int = 0
    """The process of the wire that the link passes through; 0: it passes through none."""
    pair: int = 0
    """Which pair of the wire's interfaces."""

    @property
    def exists(self) -> bool:
        """Whether both ends are still there."""
        return os.path.exists(f"/proc/{self.pid}") and has_interface(0, self.interface)

    @property
    def client_end(self) -> str:
        """In the wire's namespace, the other end of the client's eth0."""
        return f"c{self.number}"

    @property
    def has_ended(self) -> bool:
        """Whether the client runs, and its link has ended: with the wire, or with the eth0 that it led to.

        The engine takes a client's eth0 away and makes another one (``docker network disconnect``). Frames for the new
        one pass beside the wire.
        """
        if not self.wire or not os.path.exists(f"/proc/{self.pid}"):
            return False
        return not self.exists or not has_interface(self.wire, self.client_end)


def has_interface(pid: int, name: str) -> bool:
    """Return whether the network namespace of process *pid* (0: this one) has the interface *name*.

    Not by /sys: that shows the namespace in which it was mounted.

    >>> has_interface(0, "lo")
    True
    """
    try:
        with open(f"/proc/{pid or 'self'}/net/dev") as file:
            return any(line.partition(":")[0].strip() == name for line in file)
    except OSError:  # the process has ended, and with it its namespace
        return False


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


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep other processes from setting links meanwhile; the lock of a process that was killed is free."""
    with open(path("all", "lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remember(link: Link) -> None:
    """Remember where *link* is. A link that is new has lost nothing yet."""
    if remembered(link.number) != link:
        write(link.number, "own", "0 0")
        write(link.number, "link", " ".join(map(str, link[1:])))


def remembered(number: int) -> Link | None:
    """Return the link of client *number* as it was remembered, whether or not it still exists."""
    fields = read(number, "link").split()
    if not fields:
        return None
    pid, interface, wire, pair = fields
    return Link(number, int(pid), interface, int(wire), int(pair))


def remembered_links() -> list[Link]:
    """Return the links that were ever set here, by number."""
    numbers = sorted(int(name.partition(".")[0]) for name in os.listdir(STATE) if name.endswith(".link"))
    return [link for number in numbers if (link := remembered(number))]


def existing_links() -> list[Link]:
    """Return the links that were ever set here and still exist, by number."""
    return [link for link in remembered_links() if link.exists]
