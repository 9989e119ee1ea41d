"""The networks of one engine. Available as ``engine.networks``."""

import zlib
from typing import Any

import docker.types

from flume.errors import EngineError
from flume.lab.containers import topology
from flume.lab.containers.container import Errors
from flume.lab.containers.engine_values import Network, gateway_of, network_of
from flume.lab.containers.topology import LABEL_LAB


class NetworkStore:
    """The networks of one engine; those over the engines of its Swarm too, where it manages that."""

    def __init__(self, api: Any, errors: Errors) -> None:
        """Use :attr:`flume.lab.containers.engine.Engine.networks` instead."""
        self._api = api
        self._errors = errors

    def ensure(self, lab: str, run: str, *, description: topology.Network, clients: int = 5) -> Network:
        """Return the lab's network; create it in a free subnet of the pool if there is none.

        Raises :class:`EngineError` if no subnet of the pool is free.
        """
        name = topology.object_name(lab, "network")
        if existing := self.find(lab):
            return existing
        subnets = topology.candidate_subnets(
            clients, taken=self.taken_subnets(), start=zlib.crc32(f"{lab}{run}".encode())
        )
        for subnet in subnets:
            try:
                return self.create(name, lab, run, str(subnet), description)
            except EngineError as error:
                # Another lab took the subnet after we listed the subnets in use.
                if "overlaps" not in str(error):
                    raise
        raise EngineError(f"every subnet of {topology.POOL} is in use: remove labs that are no longer needed")

    def find(self, lab: str) -> Network | None:
        """Return the network of *lab*, if there is one here."""
        with self._errors(f"look for the network of lab {lab}"):
            existing = self._api.networks(filters={"label": [f"{LABEL_LAB}={lab}"]})
        return network_of(existing[0]) if existing else None

    def taken_subnets(self) -> tuple[str, ...]:
        """Return the subnets of all networks of the engine."""
        with self._errors("list its networks"):
            networks = self._api.networks()
        return tuple(one["Subnet"] for each in networks for one in (each["IPAM"]["Config"] or ()) if "Subnet" in one)

    def create(
        self,
        name: str,
        lab: str,
        run: str,
        subnet: str,
        description: topology.Network,
        *,
        driver: str = "",
        nodes: str = "",
    ) -> Network:
        """Create the network *name* of *lab*, of the *driver* in *description* if none is given.

        An overlay is attachable and has no way out; *nodes* is the part of *subnet* for the Swarm's own addresses.
        """
        is_overlay = driver == "overlay"
        pool = docker.types.IPAMPool(subnet=subnet, gateway=gateway_of(subnet), iprange=nodes or None)
        with self._errors(f"create network {name}"):
            created = self._api.create_network(
                name,
                driver=driver or description.driver,
                options=description.driver_opts,
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels=topology.labels(lab, run, "network"),
                check_duplicate=True,
                internal=is_overlay,
                attachable=is_overlay or None,
                scope="swarm" if is_overlay else None,
            )
            if is_overlay:  # where its subnet is another network's, the engine has made nothing that could be listed
                return Network(name, str(created["Id"]), subnet, gateway_of(subnet), is_overlay)
            return network_of(self._api.inspect_network(created["Id"]))

    def is_real(self, network: Network) -> bool:
        """Whether the Swarm gave the overlay *network* a number and its subnet: it does neither where that overlaps."""
        with self._errors(f"inspect network {network.name}"):
            seen = self._api.inspect_network(network.id)
        return "com.docker.network.driver.overlay.vxlanid_list" in (seen.get("Options") or {})
