"""Two snapshots of a machine and their comparison. Pure: ``reading.py`` and ``docker_objects.py`` take them."""

import re
from collections import Counter
from collections.abc import Iterable

import msgspec


class Thing(msgspec.Struct, frozen=True, order=True):
    """One thing of a machine.

    >>> str(Thing("interface", "veth1", "of br-1"))
    'interface veth1 (of br-1)'
    """

    kind: str
    """container, network, volume, process, interface, route, qdisc, rule, mount, cgroup, socket or file."""
    name: str
    """The same in each snapshot as long as the thing exists, and of no other thing of its kind."""
    about: str = ""
    """What else tells whose it is: labels, a command line, control groups, the owner of a socket."""

    def __str__(self) -> str:
        """Name it as a message does."""
        about = self.about if len(self.about) <= 200 else f"{self.about[:200]}…"
        return f"{self.kind} {self.name}" + (f" ({about})" if about else "")


class Snapshot(msgspec.Struct, frozen=True):
    """What is on a machine at one time."""

    things: tuple[Thing, ...]
    unread: dict[str, str] = {}
    """What could not be read, with the reason. It may hide things, so a comparison names it."""


class Difference(msgspec.Struct, frozen=True):
    """What two snapshots differ in."""

    left: tuple[Thing, ...]
    """There is now, and was not before."""
    missing: tuple[Thing, ...]
    """Was there before, and is not now."""
    unread: tuple[str, ...]
    """What one of the two could not read."""


def compare(before: Snapshot, after: Snapshot) -> Difference:
    """Return what changed from *before* to *after*.

    >>> lo, veth = Thing("interface", "lo"), Thing("interface", "veth1")
    >>> compare(Snapshot((lo,)), Snapshot((lo, veth))).left
    (Thing(kind='interface', name='veth1', about=''),)
    """
    unread = {**before.unread, **after.unread}
    return Difference(
        _not_in(before, after.things),
        _not_in(after, before.things),
        tuple(f"{what}: {reason}" for what, reason in sorted(unread.items())),
    )


def _not_in(snapshot: Snapshot, things: Iterable[Thing]) -> tuple[Thing, ...]:
    known = {(one.kind, one.name) for one in snapshot.things}
    return tuple(sorted(one for one in things if (one.kind, one.name) not in known))


def named_by(marks: Iterable[str], things: Iterable[Thing]) -> tuple[Thing, ...]:
    """Return those of *things* whose name, or what is known about them, contains one of *marks* as a whole word.

    A mark that ends with a dash, dot or slash may begin a word.

    >>> named_by({"lab=a"}, [Thing("volume", "1", "lab=a"), Thing("volume", "2", "lab=a-b")])
    (Thing(kind='volume', name='1', about='lab=a'),)
    """
    patterns = [re.escape(mark) + (r"(?![\w-])" if mark[-1].isalnum() else "") for mark in sorted(marks)]
    if not patterns:
        return ()
    wanted = re.compile("|".join(patterns))
    return tuple(one for one in things if wanted.search(one.name) or wanted.search(one.about))


def numbered(kind: str, lines: Iterable[str]) -> list[Thing]:
    """Return a thing for each line; lines that are alike get numbers, because two rules may be alike.

    >>> [one.name for one in numbered("rule", ["drop", "drop"])]
    ['drop', 'drop #2']
    """
    seen: Counter[str] = Counter()
    things = []
    for line in lines:
        seen[line] += 1
        things.append(Thing(kind, line if seen[line] == 1 else f"{line} #{seen[line]}"))
    return things
