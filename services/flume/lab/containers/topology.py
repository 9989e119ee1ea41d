"""The lab's containers as values, read from ``compose/lab.yaml``, in the subset of the Compose format that we use.

Pure but for :func:`load_file`: text in, values out. A key outside the subset is refused with its path: a key that
``docker compose`` reads and the lab ignores would make two descriptions out of one.

The names and labels of all objects of a lab are composed here too. Labels are the only registry of those objects.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from flume.errors import SettingsError
from flume.lab.strict import FileValue

LABEL_LAB = "flumelab.lab"
LABEL_RUN = "flumelab.run"
LABEL_ROLE = "flumelab.role"
LABEL_INDEX = "flumelab.index"
LABEL_PROGRAM = "flumelab.program"
"""On clients that are other people's players: the player's name."""

LABEL_INPUTS = "flumelab.inputs"
"""On images: a digest of all inputs of the build. An image whose inputs have not changed is not built again."""

Role = Literal["server", "relay", "client", "probe", "wire", "network", "media"]

POOL = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for network benchmarks (RFC 2544), so that a lab never overlaps a person's private network."""

SMALLEST_PREFIX = 24
"""A lab takes a /24, or a larger subnet if it has more clients than a /24 has addresses."""

_LAB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_VARIABLE = re.compile(r"\$(?:\{(?P<name>[A-Z_][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<escaped>\$)|(?P<bad>))")
_DURATION = re.compile(r"(\d+)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}

Duration = Annotated[str, msgspec.Meta(pattern=r"^\d+(ms|s|m)$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Size = Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d*[bkmg]$")]
"""Bytes, with Docker's units: ``512m`` are 512 MiB."""


class Healthcheck(FileValue, frozen=True, kw_only=True):
    """The command and the times by which the engine decides whether a container is healthy."""

    test: tuple[str, ...]
    interval: Duration = "30s"
    timeout: Duration = "30s"
    retries: Annotated[int, msgspec.Meta(ge=1)] = 3
    start_period: Duration = "0s"


class Logging(FileValue, frozen=True, kw_only=True):
    """How the engine keeps a container's output."""

    driver: str
    options: dict[str, str] = msgspec.field(default_factory=dict)


class Service(FileValue, frozen=True, kw_only=True):
    """One kind of container. The field names are those of Compose."""

    image: Annotated[str, msgspec.Meta(min_length=1)]
    entrypoint: tuple[str, ...] = ()
    """Replaces the entry point of the image; empty: the image's."""
    command: tuple[str, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    user: str = ""
    read_only: bool = False
    stdin_open: bool = False
    init: bool = False
    tmpfs: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    network_mode: Literal["none", "host"] | None = None
    pid: Literal["host"] | None = None
    userns_mode: Literal["host"] | None = None
    """``host``: user numbers are those of the engine's host, also where the engine was started with --userns-remap."""
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    sysctls: dict[str, str] = msgspec.field(default_factory=dict)
    cpu_shares: Annotated[int, msgspec.Meta(ge=2, le=262144)] | None = None
    """Weight among containers that wait for a CPU; the engine's default is 1024."""
    mem_limit: Size | None = None
    """The most memory that the container can take; one process of it is killed when it would take more."""
    pids_limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The most processes and threads."""
    ulimits: dict[Literal["nofile"], Annotated[int, msgspec.Meta(ge=64)]] = msgspec.field(default_factory=dict)
    """``nofile``: the most descriptors of each process."""
    stop_grace_period: Duration = "10s"
    logging: Logging | None = None
    healthcheck: Healthcheck | None = None
    depends_on: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


class Subnet(FileValue, frozen=True, kw_only=True):
    """One address range of a network."""

    subnet: str


class Ipam(FileValue, frozen=True, kw_only=True):
    """Addresses of a network."""

    config: tuple[Subnet, ...] = ()


class Network(FileValue, frozen=True, kw_only=True):
    """One network."""

    driver: Literal["bridge"] = "bridge"
    driver_opts: dict[str, str] = msgspec.field(default_factory=dict)
    ipam: Ipam = Ipam()


class Volume(FileValue, frozen=True, kw_only=True):
    """A named volume."""

    driver_opts: dict[str, str] = msgspec.field(default_factory=dict)
    """Options of the engine's local driver: ``{type: tmpfs, device: tmpfs, o: size=1g}`` keeps captures in memory."""


class Topology(FileValue, frozen=True, kw_only=True):
    """The whole file. :func:`load` checks that every reference has its target."""

    services: dict[str, Service]
    networks: dict[str, Network] = msgspec.field(default_factory=dict)
    volumes: dict[str, Volume] = msgspec.field(default_factory=dict)

    def service(self, name: str) -> Service:
        """Return the service *name*, or raise :class:`SettingsError` that lists the services there are."""
        if name not in self.services:
            raise SettingsError("service", name, f"one of {', '.join(self.services)}")
        return self.services[name]


class Mount(msgspec.Struct, frozen=True):
    """One entry of ``volumes``: *source* is a named volume."""

    source: str
    target: str
    read_only: bool


def load(text: str, *, variables: Mapping[str, str] | None = None) -> Topology:
    """Return the topology in *text*, with ``${NAME:-default}`` replaced from *variables*; no environment is read.

    Raises :class:`SettingsError` with the path of a key that is wrong or outside the subset.

    >>> text = "services: {server: {image: '${IMAGE:-flumelab/server}'}}"
    >>> load(text, variables={"IMAGE": "mine"}).service("server").image
    'mine'
    """
    try:
        document = yaml.safe_load(_interpolate(text, variables or {}))
    except yaml.YAMLError as error:
        raise SettingsError("topology", "…", f"YAML: {' '.join(str(error).split())}") from error
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if not str(key).startswith("x-")}
    try:
        topology = msgspec.convert(document, Topology)
    except msgspec.ValidationError as error:
        raise SettingsError("topology", "…", f"the part of the Compose format that flumelab uses: {error}") from error
    _check_references(topology)
    return topology


def load_file(path: Path) -> Topology:
    """Return the topology in the file *path*; raises :class:`SettingsError`, also if it cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("topology", str(path), f"a readable Compose file ({error})") from error
    return load(text)


def _interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}`` as Compose does; ``$$`` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["name"] is None:
            raise SettingsError("topology", text[match.start() : match.start() + 20], "$ begins ${NAME:-default} or $$")
        return variables.get(match["name"]) or match["default"] or ""

    return _VARIABLE.sub(value, text)


def _check_references(topology: Topology) -> None:
    """Raise :class:`SettingsError` for a network, volume or service that is used but not described."""
    for name, service in topology.services.items():
        key = f"services.{name}"
        used: list[tuple[str, str, Mapping[str, object]]] = [
            (f"{key}.networks", one, topology.networks) for one in service.networks
        ]
        used += [(f"{key}.depends_on", one, topology.services) for one in service.depends_on]
        used += [(f"{key}.volumes", mount.source, topology.volumes) for mount in mounts(service)]
        for path, seen, known in used:
            if seen not in known:
                raise SettingsError(path, seen, f"one of {', '.join(known) or 'none: none is described'}")
        if service.networks and service.network_mode is not None:
            raise SettingsError(f"{key}.network_mode", service.network_mode, "only without networks")
    for name, network in topology.networks.items():
        for config in network.ipam.config:
            _check_subnet(f"networks.{name}.ipam.config.subnet", config.subnet)


def _check_subnet(key: str, text: str) -> None:
    """Raise :class:`SettingsError` unless *text* is a network inside :data:`POOL`."""
    try:
        inside = ipaddress.IPv4Network(text).subnet_of(POOL)
    except ValueError:
        inside = False
    if not inside:
        raise SettingsError(key, text, f"a network inside {POOL}")


def mounts(service: Service) -> Iterator[Mount]:
    """Yield the parsed entries of ``volumes``: ``name:/target`` or ``name:/target:ro``.

    A path of the host is refused, because an engine on another machine does not have it.
    """
    for entry in service.volumes:
        source, _, rest = entry.partition(":")
        target, _, mode = rest.partition(":")
        if (
            not re.fullmatch(r"[a-zA-Z0-9][\w.-]*", source)
            or not target.startswith("/")
            or mode not in {"", "ro", "rw"}
        ):
            raise SettingsError("volumes", entry, "NAME:/TARGET or NAME:/TARGET:ro with a named volume, no host path")
        yield Mount(source, target, mode == "ro")


def seconds(duration: str) -> float:
    """Return the seconds in a duration.

    >>> seconds("500ms"), seconds("2m")
    (0.5, 120.0)
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise SettingsError("duration", duration, "a whole number with ms, s or m")
    return int(match[1]) * _SECONDS[match[2]]


def check_lab_name(lab: str) -> str:
    """Return *lab* if Docker allows it in names and labels; else raise :class:`SettingsError`."""
    if not _LAB_NAME.fullmatch(lab):
        raise SettingsError("lab", lab, "1 to 32 lower-case letters, digits and hyphens, not beginning with a hyphen")
    return lab


def object_name(lab: str, what: str, index: int | None = None) -> str:
    """Return the name of a container, network or volume of *lab*.

    >>> object_name("demo", "client", 3)
    'flumelab-demo-client-3'
    """
    return f"flumelab-{check_lab_name(lab)}-{what}" + ("" if index is None else f"-{index}")


def labels(lab: str, run: str, role: Role, index: int | None = None, *, program: str = "") -> dict[str, str]:
    """Return the labels that mark an object as a part of *lab* and *run*."""
    marks = {LABEL_LAB: check_lab_name(lab), LABEL_RUN: run, LABEL_ROLE: role}
    marks |= {LABEL_PROGRAM: program} if program else {}
    return marks if index is None else {**marks, LABEL_INDEX: str(index)}


_SERVER_HOST = 2
MAX_RELAYS = 7
"""Between the server and the first client."""
_FIRST_CLIENT_HOST = 10
"""Client 3 has address 13 of its subnet, so that a reader of captures and tables recognises it."""


def address(subnet: str, role: Role, index: int | None) -> str | None:
    """Return the fixed address of a container in *subnet*; ``None`` where the engine chooses one.

    >>> address("198.18.7.0/24", "client", 3)
    '198.18.7.13'
    """
    network = ipaddress.IPv4Network(subnet)
    number = index or 0
    host = {"server": _SERVER_HOST, "relay": _SERVER_HOST + number, "client": _FIRST_CLIENT_HOST + number}.get(role)
    if host is None:
        return None
    if role == "relay" and number > MAX_RELAYS:
        raise SettingsError("hosts", number, f"at most {MAX_RELAYS} with a relay each")
    if host >= network.num_addresses - 1:
        raise SettingsError("clients", index, f"as many as {subnet} holds: {network.num_addresses - 12}")
    return str(network[host])


def candidate_subnets(clients: int, *, taken: tuple[str, ...] = (), start: int = 0) -> Iterator[ipaddress.IPv4Network]:
    """Yield free subnets of :data:`POOL` for *clients* clients and a server, from the *start*-th on, wrapping around.

    *taken* are the subnets of other networks. Two labs with different *start* rarely ask for the same subnet. If they
    do, the engine refuses the second request, and that lab takes the next subnet.
    """
    # The first ten addresses are for network, gateway and server; the last is the broadcast address.
    prefix = min(SMALLEST_PREFIX, 32 - (clients + _FIRST_CLIENT_HOST + 1).bit_length())
    if clients < 1 or prefix <= POOL.prefixlen:
        raise SettingsError("clients", clients, f"1 to {POOL.num_addresses // 2 - 12}, what half of {POOL} holds")
    occupied = [network for text in taken if (network := _ipv4(text)) is not None]
    count = 1 << (prefix - POOL.prefixlen)
    size = 1 << (32 - prefix)
    for step in range(count):
        base = int(POOL.network_address) + (start + step) % count * size
        subnet = ipaddress.IPv4Network((base, prefix))
        if not any(subnet.overlaps(other) for other in occupied):
            yield subnet


def _ipv4(text: str) -> ipaddress.IPv4Network | None:
    """Return *text* as an IPv4 network; ``None`` for IPv6 and invalid text, which cannot overlap with the pool."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None
