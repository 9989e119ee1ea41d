"""What goes into the Docker engine and what comes out of it, as values; the module ``engine`` offers them too."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flume.lab.containers import archive, topology
from flume.lab.containers.container import Output
from flume.lab.containers.topology import LABEL_LAB, LABEL_ROLE, LABEL_RUN, Role, Service


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine this is, for the report."""

    name: str
    version: str
    kernel: str
    operating_system: str
    architecture: str
    cpus: int
    memory_bytes: int
    endpoint: str


class Network(msgspec.Struct, frozen=True):
    """A network of a lab."""

    name: str
    id: str
    subnet: str
    gateway: str


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One container to start."""

    service: str
    """The service's name in the topology; the container answers to it on its network."""
    role: Role
    index: int | None = None
    network: Network | None = None
    files: Mapping[str, Path] = {}
    """Path in the container, inside one of its volumes → local file, copied before the start."""
    progress: archive.Progress | None = None
    """Told how far the copying of *files* is."""
    environment: Mapping[str, str] = {}
    command: Sequence[str] | None = None
    """Instead of the topology's."""
    entrypoint: Sequence[str] | None = None
    """Instead of the image's."""
    output: Output | None = None
    """Takes the container's lines from the very first one; otherwise they go to the log alone."""


class Found(msgspec.Struct, frozen=True):
    """An object of a lab that exists: *kind* is container, network or volume."""

    kind: str
    name: str
    lab: str
    run: str
    role: str


def info_of(seen: Mapping[str, Any], endpoint: str) -> EngineInfo:
    """Return what ``docker info`` says, as a value."""
    return EngineInfo(
        name=seen["Name"],
        version=seen["ServerVersion"],
        kernel=seen["KernelVersion"],
        operating_system=seen["OperatingSystem"],
        architecture=seen["Architecture"],
        cpus=seen["NCPU"],
        memory_bytes=seen["MemTotal"],
        endpoint=endpoint,
    )


def gateway_of(subnet: str) -> str:
    """Return the address of the engine's host on the lab's network: the first one, as everybody expects."""
    return str(ipaddress.IPv4Network(subnet)[1])


def network_of(seen: Mapping[str, Any]) -> Network:
    """Return a network from its inspection."""
    config = seen["IPAM"]["Config"][0]
    return Network(seen["Name"], seen["Id"], config["Subnet"], config.get("Gateway", ""))


def found_of(kind: str, name: str, seen: Mapping[str, Any]) -> Found:
    """Return an object of a lab from its line in a list."""
    labels = seen.get("Labels") or {}
    return Found(kind, name, labels.get(LABEL_LAB, ""), labels.get(LABEL_RUN, ""), labels.get(LABEL_ROLE, ""))


def label_filter(lab: str | None, run: str | None, role: str | None) -> list[str]:
    """Return what selects our objects, those of *lab*, *run* and *role* where given."""
    wanted: Iterable[tuple[str, str | None]] = ((LABEL_LAB, lab), (LABEL_RUN, run), (LABEL_ROLE, role))
    return [LABEL_LAB, *(f"{key}={value}" for key, value in wanted if value is not None)]


def healthcheck_of(service: Service, *, affordable: bool) -> dict[str, Any] | None:
    """Return the health check as the engine takes it: durations in nanoseconds.

    None where there is one processor: each check starts a Python there for 3 to 5 s, so six containers asked every 30 s
    left nothing for the lab itself, and did not answer in time.
    """
    check = service.healthcheck if affordable else None
    if check is None:
        return None
    durations = {"interval": check.interval, "timeout": check.timeout, "start_period": check.start_period}
    nanoseconds = {key: int(topology.seconds(value) * 1_000_000_000) for key, value in durations.items()}
    return {"test": list(check.test), "retries": check.retries, **nanoseconds}
