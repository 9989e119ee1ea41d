"""What goes into the Docker engine and what comes out of it, as values; the module ``engine`` offers them too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from flume.lab.containers import archive
from flume.lab.containers.container import Output
from flume.lab.containers.topology import Role


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
