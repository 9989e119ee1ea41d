"""The arguments and results of the Docker engine as values. The module ``engine`` exports them too."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flume.lab.containers import archive, topology
from flume.lab.containers.container import Output
from flume.lab.containers.topology import LABEL_LAB, LABEL_ROLE, LABEL_RUN, Role, Service
from flume.lab.machine.process import one_line

_UTC_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d)$")


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's place in a Swarm, by its ``docker info``."""

    cluster: str
    """Identity of the Swarm. Only its managers report it: empty on a worker."""
    node: str
    """Identity of the engine in it."""
    address: str
    """IP address by which the other engines of the Swarm reach its host."""
    managers: tuple[str, ...]
    """Nodes that manage the Swarm: two engines of one Swarm name one in common."""
    is_manager: bool
    is_active: bool
    """Whether it takes part at present: neither *pending*, nor *locked*, nor in an error."""
    state: str = "active"
    """In the engine's words."""
    error: str = ""
    """Why it takes no part, in the engine's words."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of an engine, for the report."""

    name: str
    version: str
    kernel: str
    operating_system: str
    architecture: str
    cpus: int
    memory_bytes: int
    endpoint: str
    id: str = ""
    """Of the engine's installation; two addresses of one engine have the same."""
    swarm: Swarm | None = None
    """None: the engine is in no Swarm."""
    utc_offset: str = ""
    """Of its host's time zone, such as ``+02:00``; empty: not known."""

    @property
    def manages_swarm(self) -> bool:
        """Whether networks over all engines of its Swarm can be made and removed here."""
        return self.swarm is not None and self.swarm.is_manager


class Network(msgspec.Struct, frozen=True):
    """A network of a lab."""

    name: str
    id: str
    subnet: str
    gateway: str
    is_overlay: bool = False
    """Whether it joins several engines. Then the other ends of its links are in a namespace that the engine hides."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One container to start."""

    service: str
    """The name of the service in the topology; other containers resolve it to this container's address."""
    role: Role
    host: str = ""
    """The name of the host that it runs on; empty where the lab has one."""
    index: int | None = None
    network: Network | None = None
    files: Mapping[str, Path] = {}
    """Path in the container, inside one of its volumes → local file, which is copied before the start."""
    progress: archive.Progress | None = None
    """Called with the progress of copying *files*."""
    environment: Mapping[str, str] = {}
    command: Sequence[str] | None = None
    """Replaces the command in the topology."""
    entrypoint: Sequence[str] | None = None
    """Replaces the entry point of the image."""
    program: str = ""
    """For the label of a client that is another player."""
    output: Output | None = None
    """Takes the container's lines from the first one on. None: the lines go to the log only."""


class Found(msgspec.Struct, frozen=True):
    """An existing object of a lab; *kind* is container, network or volume."""

    kind: str
    name: str
    lab: str
    run: str
    role: str


def info_of(seen: Mapping[str, Any], endpoint: str) -> EngineInfo:
    """Return the answer of ``docker info`` as a value."""
    return EngineInfo(
        name=seen["Name"],
        version=seen["ServerVersion"],
        kernel=seen["KernelVersion"],
        operating_system=seen["OperatingSystem"],
        architecture=seen["Architecture"],
        cpus=seen["NCPU"],
        memory_bytes=seen["MemTotal"],
        endpoint=endpoint,
        id=seen.get("ID", ""),
        swarm=_swarm_of(seen.get("Swarm") or {}),
        utc_offset=match[0] if (match := _UTC_OFFSET.search(seen.get("SystemTime") or "")) else "",
    )


def _swarm_of(seen: Mapping[str, Any]) -> Swarm | None:
    if seen.get("LocalNodeState", "inactive") == "inactive":
        return None
    return Swarm(
        cluster=(seen.get("Cluster") or {}).get("ID", ""),
        node=seen.get("NodeID", ""),
        address=seen.get("NodeAddr", ""),
        managers=tuple(one["NodeID"] for one in seen.get("RemoteManagers") or ()),
        is_manager=bool(seen.get("ControlAvailable")),
        is_active=seen["LocalNodeState"] == "active",
        state=seen["LocalNodeState"],
        error=one_line(seen.get("Error") or ""),
    )


def gateway_of(subnet: str) -> str:
    """Return the address of the engine's host on the lab's network: the first one, as usual.

    >>> gateway_of("198.18.7.0/24")
    '198.18.7.1'
    """
    return str(ipaddress.IPv4Network(subnet)[1])


def network_of(seen: Mapping[str, Any]) -> Network:
    """Return a network from its inspection."""
    config = seen["IPAM"]["Config"][0]
    overlay = seen.get("Driver") == "overlay"
    return Network(seen["Name"], seen["Id"], config["Subnet"], config.get("Gateway", ""), overlay)


def found_of(kind: str, name: str, seen: Mapping[str, Any]) -> Found:
    """Return an object of a lab from its line in a list."""
    labels = seen.get("Labels") or {}
    return Found(kind, name, labels.get(LABEL_LAB, ""), labels.get(LABEL_RUN, ""), labels.get(LABEL_ROLE, ""))


def label_filter(lab: str | None, run: str | None, role: str | None) -> list[str]:
    """Return the filter that selects the objects of labs; of *lab*, *run* and *role* where given."""
    wanted: Iterable[tuple[str, str | None]] = ((LABEL_LAB, lab), (LABEL_RUN, run), (LABEL_ROLE, role))
    return [LABEL_LAB, *(f"{key}={value}" for key, value in wanted if value is not None)]


def healthcheck_of(service: Service) -> dict[str, Any] | None:
    """Return the health check in the engine's form, with durations in nanoseconds; None without one."""
    check = service.healthcheck
    if check is None:
        return None
    durations = {"interval": check.interval, "timeout": check.timeout, "start_period": check.start_period}
    nanoseconds = {key: int(topology.seconds(value) * 1_000_000_000) for key, value in durations.items()}
    return {"test": list(check.test), "retries": check.retries, **nanoseconds}


def host_config(api: Any, lab: str, service: Service, network: Network | None) -> dict[str, Any]:
    """Return the part of the SDK's arguments that concerns the engine's host."""
    binds = [
        f"{topology.object_name(lab, mount.source)}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
        for mount in topology.mounts(service)
    ]
    log = service.logging
    return dict(
        api.create_host_config(
            binds=binds,
            network_mode=network.name if network is not None else (service.network_mode or "none"),
            pid_mode=service.pid,
            userns_mode=service.userns_mode,
            read_only=service.read_only,
            tmpfs=dict(entry.partition(":")[::2] for entry in service.tmpfs),
            cap_drop=list(service.cap_drop),
            cap_add=list(service.cap_add),
            security_opt=list(service.security_opt),
            sysctls=dict(service.sysctls),
            cpu_shares=service.cpu_shares,
            mem_limit=service.mem_limit,
            pids_limit=service.pids_limit,
            ulimits=[{"name": name, "soft": most, "hard": most} for name, most in service.ulimits.items()],
            init=service.init or None,
            log_config={"type": log.driver, "config": dict(log.options)} if log else None,
        )
    )
