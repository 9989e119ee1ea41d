"""The wires of a lab: containers through whose kernel links pass where the engine's own kernel has no netem.

A wire has a fixed number of places for links. A place serves one link once: a client that was restarted needs another.
"""

from flume.lab.containers.container import Output
from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.topology import Topology
from flume.lab.link.links import Links

SPARE = 4
"""Places beside those for the clients that are there: for clients that restart, and for a few more."""


def wire_start(links: int, *, index: int = 1, output: Output | None = None) -> Start:
    """Return the wire with places for so many *links*, to be started with the other containers of a lab.

    >>> wire_start(5).command
    ('wire', '9')
    """
    return Start(service="wire", role="wire", index=index, command=("wire", str(links + SPARE)), output=output)


def running_wires(engine: Engine, lab: str) -> list[int]:
    """Return the process of each wire of *lab* that runs, in the order in which they were started."""
    return [one.pid for one in engine.find(lab=lab, role="wire") if one.pid]


def ensure_wires(engine: Engine, lab: str, run: str, layout: Topology, links: Links) -> Links:
    """Return *links* with a wire that has room for all those that pass through none yet; start one if need be.

    Where the engine's kernel has netem, *links* are returned as they are. Raises :class:`LabError` where a wire has
    ended: its links are gone, and only a new lab has new ones.
    """
    missing = links.places_missing()
    if not missing:
        return links
    index = 1 + max((one.index or 0 for one in engine.find(lab=lab, role="wire")), default=0)
    wire = engine.start_service(lab, run, layout, wire_start(missing, index=index))
    return links.with_wire(wire.pid)
