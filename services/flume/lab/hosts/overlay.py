"""The network of a lab on several hosts: an attachable overlay of their Swarm, in a subnet that no host uses.

Swarm takes one address of the subnet for each node, from the bottom where nothing says otherwise, and would take the
server's. An ``ip_range`` at the top of the subnet keeps them there.
"""

import ipaddress
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from flume.errors import EngineError
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Network

NODES_PREFIX = 27
"""Of the range at the top of the subnet that Swarm takes addresses from: room for 30 hosts."""

MAX_HOSTS = 30

MTU_OPTION = "com.docker.network.driver.mtu"

_AGAIN_S = 10.0
"""The engine removes a network after it has said so: until then a new one of its name is refused."""


def nodes_range(subnet: str) -> str:
    """Return the part of *subnet* that Swarm's own addresses come from.

    >>> nodes_range("198.18.72.0/24")
    '198.18.72.224/27'
    """
    return str(list(ipaddress.IPv4Network(subnet).subnets(new_prefix=NODES_PREFIX))[-1])


def with_mtu(description: topology.Network, mtu: int) -> topology.Network:
    """Return *description* for hosts between which packets have at most *mtu* bytes; it is never made larger.

    Docker's option is the MTU between the hosts: containers have 50 bytes less, which VXLAN takes.

    >>> with_mtu(topology.Network(driver_opts={MTU_OPTION: "1500"}), 1450).driver_opts[MTU_OPTION]
    '1450'
    """
    present = int(description.driver_opts.get(MTU_OPTION, "1500"))
    options = description.driver_opts | {MTU_OPTION: str(min(mtu, present))}
    return msgspec.structs.replace(description, driver_opts=options)


def ensure_network(
    managers: Sequence[Engine],
    engines: Sequence[Engine],
    lab: str,
    run: str,
    *,
    description: topology.Network,
    clients: int,
) -> Network:
    """Return the overlay network of *lab*, made by the first of *managers*, in a subnet that none of *engines* uses.

    Raises :class:`EngineError` where no engine manages the Swarm, no subnet is free, or the network cannot be made. An
    engine accepts a subnet that another network of the Swarm has, and says so only when a container starts: such a
    network is removed, and the next subnet is tried.
    """
    if not managers:
        raise EngineError("none of the hosts manages the Swarm, so no network over them can be made: see the preflight")
    manager = managers[0]
    if existing := manager.networks.find(lab):
        return existing
    # With the run: a worker still lists a network of the lab that was just removed, and would look there for a name.
    name = topology.object_name(lab, f"network-{run}")
    taken = tuple(subnet for engine in engines for subnet in engine.networks.taken_subnets())
    # The range for Swarm's addresses stays above the last client.
    room = clients + (1 << (32 - NODES_PREFIX))
    subnets = topology.candidate_subnets(room, taken=taken, start=zlib.crc32(f"{lab}{run}".encode()))
    for subnet in map(str, subnets):
        network = _retried(
            partial(
                manager.networks.create,
                *(name, lab, run, subnet, description),
                driver="overlay",
                nodes=nodes_range(subnet),
            )
        )
        if manager.networks.is_real(network):
            return network
        manager.remove_lab(lab, kinds=("network",))
    raise EngineError(f"every subnet of {topology.POOL} is in use: remove labs that are no longer needed")


def _retried(create: Callable[[], Network]) -> Network:
    until_s = time.monotonic() + _AGAIN_S
    while True:
        try:
            return create()
        except EngineError as error:
            if "already exists" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(0.2)
