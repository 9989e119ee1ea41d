"""The wires of a lab: containers through whose kernel links pass where the engine's own kernel has no netem.

A wire has a fixed number of places for links. A place serves one link once: a client that was restarted needs another.
"""

import math

import msgspec

from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.topology import Topology
from flume.lab.link.links import Links

SPARE = 4
"""Places beside those for the clients that are there: for clients that restart, and for a few more."""

PLACES = 40
"""Of one wire at most: User Mode Linux takes 4096 bytes of arguments, which are 56 places."""


def wire_starts(links: int, *, first: int = 1) -> list[Start]:
    """Return wires with places for so many *links* and some spare, numbered from *first*.

    They are to be started with the other containers of a lab.

    >>> [start.command for start in wire_starts(5)], len(wire_starts(50))
    ([('wire', '9')], 2)
    """
    number = math.ceil((links + SPARE) / PLACES)
    command = ("wire", str(math.ceil((links + SPARE) / number)))
    return [Start(service="wire", role="wire", index=index, command=command) for index in range(first, first + number)]


def ensure_wires(engine: Engine, lab: str, run: str, layout: Topology, links: Links) -> Links:
    """Return *links* with wires that have room for all those that pass through none yet; start one if need be.

    Where the engine's kernel has netem, *links* are returned as they are. Raises :class:`LabError` where a wire has
    ended: its links are gone, and only a new lab has new ones.
    """
    missing = links.places_missing()
    if not missing:
        return links
    last = max((one.index or 0 for one in engine.find(lab=lab, role="wire")), default=0)
    starts = [msgspec.structs.replace(one, host=engine.host) for one in wire_starts(missing, first=last + 1)]
    return links.with_wires([one.pid for one in engine.start(lab, run, layout, starts)])
