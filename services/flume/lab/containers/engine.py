"""The Docker engine: images, networks, containers. With ``connection.py`` the one owner of the Docker SDK.

Works with a local engine, a remote ``DOCKER_HOST`` and Docker Desktop alike: no path, process or interface of the
engine's host is used here. Every failure is an :class:`~flume.errors.EngineError` of one line.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker.errors
import docker.types

from flume.errors import EngineError
from flume.lab.containers import archive, topology
from flume.lab.containers.connection import open_engine, translated
from flume.lab.containers.container import Container, ExecResult, Output, State
from flume.lab.containers.engine_values import (
    EngineInfo,
    Found,
    Network,
    Start,
    found_of,
    healthcheck_of,
    host_config,
    info_of,
    label_filter,
)
from flume.lab.containers.image_store import ImageStore
from flume.lab.containers.lock_store import LockStore
from flume.lab.containers.network_store import NetworkStore
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.topology import Role, Service, Topology
from flume.lab.machine.endpoint import Endpoint, find_endpoint

__all__ = ["Container", "Engine", "EngineInfo", "ExecResult", "Found", "Network", "Output", "Start", "State"]

_REQUEST_TIMEOUT_S = 60.0
"""For most requests; a container starts in half a second."""

KINDS = ("container", "network", "volume")
"""Of objects of a lab, in the order in which they can be removed."""


class Engine:
    """A Docker engine that answered. Thread-safe.

    Example::

        with Engine.connect() as engine:
            clients = engine.find(lab="default", role="client")
    """

    def __init__(self, api: Any, info: EngineInfo, endpoint: Endpoint, host: str = "") -> None:
        """Use :meth:`connect` instead."""
        # Any: the published type stubs of the SDK's low-level client are incomplete.
        self._api = api
        self.info = info
        self.endpoint = endpoint
        self.host = host
        """Its name in the hosts file; empty: the lab has one engine, which needs none."""
        self.images = ImageStore(api, self._errors)
        self.locks = LockStore(api, self._errors)
        self.networks = NetworkStore(api, self._errors)

    @classmethod
    def connect(
        cls,
        endpoint: Endpoint | None = None,
        *,
        timeout_s: float = 10.0,
        environment: Mapping[str, str] | None = None,
        host: str = "",
    ) -> "Engine":
        """Return the engine at *endpoint* once it has answered.

        Without *endpoint* it is the one that ``docker`` would use in *environment* (None: that of this process): the
        one of ``DOCKER_HOST``, of a context, or of this machine. Raises :class:`EngineError` with the endpoint if no
        engine is there, or it does not answer within *timeout_s*.
        """
        endpoint = endpoint or find_endpoint(os.environ if environment is None else environment)
        api, seen = open_engine(endpoint, timeout_s=timeout_s, host=host)
        api.timeout = _REQUEST_TIMEOUT_S
        return cls(api, info_of(seen, endpoint.url), endpoint, host)

    @property
    def where(self) -> str:
        """Its address for messages, with the name of its host where the lab has several."""
        return f"{self.info.endpoint} (host {self.host})" if self.host else self.info.endpoint

    def close(self) -> None:
        """Close the connections to the engine; its containers go on running."""
        self._api.close()

    def __enter__(self) -> "Engine":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def _errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        return translated(what, self.where)

    # Containers

    def start(self, lab: str, run: str, layout: Topology, starts: Sequence[Start]) -> list[Container]:
        """Start several containers in parallel; return them in the order of *starts*.

        If one fails, its error is raised when all starts have ended. The containers that did start have their labels.
        """
        return in_parallel(lambda one: self.start_service(lab, run, layout, one), starts)

    def start_service(self, lab: str, run: str, layout: Topology, start: Start) -> Container:
        """Create a container as described in *layout*, copy its files in, attach, start; return it running."""
        service = layout.service(start.service)
        name = topology.object_name(lab, start.service, start.index)
        marks = topology.labels(lab, run, start.role, start.index, program=start.program)
        with self._errors(f"start {name}"):
            for mount in topology.mounts(service):
                volume = topology.object_name(lab, mount.source)
                options = layout.volumes[mount.source].driver_opts
                self._api.create_volume(volume, driver_opts=options, labels=topology.labels(lab, run, "media"))
            created = self._api.create_container(name=name, labels=marks, **self._arguments(lab, service, start))
            container = Container(self._api, self._errors, str(created["Id"]), name, self.host)
            _copy_in(self._api, container, start)
            io = container.attach(start.output) if start.output is not None else None
            try:
                self._api.start(container.id)
                container.refresh()
            except BaseException:
                if io is not None:
                    io.close()
                raise
            container.io = io
        return container

    def _arguments(self, lab: str, service: Service, start: Start) -> dict[str, Any]:
        """Return the SDK's arguments for one container."""
        environment = {**service.environment, **start.environment}
        command = list(service.command if start.command is None else start.command)
        arguments: dict[str, Any] = {
            "image": service.image,
            "command": command or None,
            "entrypoint": list(service.entrypoint if start.entrypoint is None else start.entrypoint) or None,
            "environment": environment,
            "user": service.user or None,
            "stdin_open": service.stdin_open,
            # Without it the SDK sets StdinOnce, and closing the first attachment would end the program's input.
            "detach": True,
            # A proxy in ~/.docker/config.json is for the internet, and a lab's network has no way there.
            "use_config_proxy": False,
            "healthcheck": healthcheck_of(service),
            "host_config": host_config(self._api, lab, service, start.network),
        }
        if start.network is not None:
            fixed = topology.address(start.network.subnet, start.role, start.index)
            endpoint = self._api.create_endpoint_config(aliases=[start.service], ipv4_address=fixed)
            arguments["networking_config"] = self._api.create_networking_config({start.network.name: endpoint})
        return arguments

    def find(self, *, lab: str | None = None, run: str | None = None, role: Role | None = None) -> list[Container]:
        """Return the labs' containers, running or not, sorted by role, index and name; ``None`` means any."""
        with self._errors("list containers"):
            found = self._api.containers(all=True, filters={"label": label_filter(lab, run, role)})
            containers = [container for one in found if (container := self._inspected(one))]
        return sorted(containers, key=lambda one: (one.role, one.index or 0, one.name))

    def _inspected(self, one: Mapping[str, Any]) -> Container | None:
        """Return the container of a list's entry; ``None`` if it has been removed since."""
        container = Container(self._api, self._errors, one["Id"], one["Names"][0].lstrip("/"), self.host)
        try:
            container.refresh()
        except EngineError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                return None
            raise
        return container

    def objects(self, *, lab: str | None = None) -> list[Found]:
        """Return every container, network and volume of *lab*, or of all labs."""
        wanted = {"label": label_filter(lab, None, None)}
        with self._errors("list what belongs to the lab"):
            containers = self._api.containers(all=True, filters=wanted)
            networks = self._api.networks(filters=wanted)
            volumes = self._api.volumes(filters=wanted)["Volumes"] or []
        return [
            *(found_of("container", one["Names"][0].lstrip("/"), one) for one in containers),
            *(found_of("network", one["Name"], one) for one in networks),
            *(found_of("volume", one["Name"], one) for one in volumes),
        ]

    def names(self, lab: str | None) -> list[str]:
        """Return the names of all objects of *lab* (None: of all labs), as ``kind name``."""
        return [f"{one.kind} {one.name}" for one in self.objects(lab=lab)]

    def remove_lab(self, lab: str | None, *, kinds: Sequence[str] = KINDS, timeout_s: float = 120.0) -> list[str]:
        """Remove all objects of *kinds* labelled as *lab* (``None``: of every lab); return them as ``kind name``.

        It needs only the labels, so it works after ``kill -9`` of the process that made the lab. Raises
        :class:`EngineError` that names the objects that still exist after *timeout_s*.
        """
        deadline = time.monotonic() + timeout_s
        found = [one for one in self.objects(lab=lab) if one.kind in kinds]
        # In this order, because a network with containers and a volume in use cannot be removed.
        removing = {
            "container": self._remove_container,
            "network": self._remove_network,
            "volume": self._remove_volume,
        }
        for kind, remove in ((kind, removing[kind]) for kind in KINDS if kind in kinds):
            in_parallel(remove, [one.name for one in found if one.kind == kind])
            while any(one.kind == kind for one in self.objects(lab=lab)) and time.monotonic() < deadline:
                time.sleep(0.1)
        if left := [f"{one.kind} {one.name}" for one in self.objects(lab=lab) if one.kind in kinds]:
            raise EngineError(f"not removed within {timeout_s:g} s: {', '.join(left)}; remove them by hand with docker")
        return [f"{one.kind} {one.name}" for one in found]

    def _remove_container(self, name: str) -> None:
        with self._errors(f"remove container {name}"), _already_gone():
            self._api.remove_container(name, force=True, v=True)

    def _remove_network(self, name: str) -> None:
        with self._errors(f"remove network {name}"), _already_gone():
            self._api.remove_network(name)

    def _remove_volume(self, name: str) -> None:
        with self._errors(f"remove volume {name}"), _already_gone():
            self._api.remove_volume(name, force=True)


def _copy_in(api: Any, container: Container, start: Start) -> None:
    """Copy local files into volumes of a created container."""
    for target, path in start.files.items():
        inside = Path(target)
        stream = archive.pack({inside.name: path}, progress=start.progress)
        api.put_archive(container.id, str(inside.parent), stream)


@contextlib.contextmanager
def _already_gone() -> Iterator[None]:
    """Ignore the error that an object has been removed, or is being removed, by another process."""
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code != 404 and "already in progress" not in str(error.explanation):
            raise
