"""Where links are: those of a running lab, or hosts of their own that nothing streams to."""

import contextlib
import secrets
from collections.abc import Iterator

from flume.errors import LabError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.probe import Probe
from flume.lab.link.links import Links

_WAIT = ("sleep", "infinity")


def links_of(engine: Engine, lab: str) -> Links:
    """Return the links of the running *lab*; raises :class:`LabError` when it does not run."""
    probes = engine.find(lab=lab, role="probe")
    if not probes:
        raise LabError(f"no lab {lab!r} is running: start one with make lab")
    clients = {one.index or 0: one.pid for one in engine.find(lab=lab, role="client")}
    return Links(Probe(probes[0]), clients)


@contextlib.contextmanager
def bare_links(engine: Engine, count: int) -> Iterator[Links]:
    """Within the block *count* hosts of the probe's image have links, and nothing else; they are removed after it."""
    layout = topology.load_file(checkout.lab_yaml())
    lab = f"calibration-{secrets.token_hex(4)}"
    try:
        network = engine.ensure_network(lab, lab, description=layout.networks["lab"], clients=count)
        clients = [
            Start(service="probe", role="client", index=index, network=network, command=_WAIT)
            for index in range(1, count + 1)
        ]
        probe, *hosts = engine.start(lab, lab, layout, [Start(service="probe", role="probe"), *clients])
        yield Links(Probe(probe), {host.index or 0: host.pid for host in hosts})
    finally:
        engine.remove_lab(lab)
