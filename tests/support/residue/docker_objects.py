"""The containers, networks and volumes of a Docker engine, whatever their labels, and what a lab is made of."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import docker.errors
import requests.exceptions

from flume.lab.containers.engine import Engine
from flume.lab.machine.process import wait_until
from support.residue.reading import ROOTS_OWN, Reader, take
from support.residue.values import Snapshot, Thing, compare, named_by


def readers(engine: Engine) -> dict[str, Reader]:
    """Return a reader of all objects of *engine*, for :func:`support.residue.reading.take`."""
    return {"the engine": lambda: objects(engine)}


def objects(engine: Engine) -> Iterator[Thing]:
    """Yield every container, network and volume of *engine*."""
    with engine._errors("list all its objects"):
        containers = engine._api.containers(all=True)
        networks = engine._api.networks()
        volumes = engine._api.volumes()["Volumes"] or []
    for one in containers:
        yield Thing("container", one["Names"][0].lstrip("/"), _about(one["Id"], one["Labels"]))
    for one in networks:
        yield Thing("network", one["Name"], _about(one["Id"], one["Labels"]))
    for one in volumes:
        yield Thing("volume", one["Name"], _about("", one["Labels"]))


def _about(identity: str, labels: dict[str, str] | None) -> str:
    return " ".join([identity, *(f"{key}={value}" for key, value in sorted((labels or {}).items()))]).strip()


class LabWatch:
    """Collects what a lab is made of, from the engine's events: by that its things are found when it has gone.

    Other labs and programs may come and go beside it. ``marks`` grows while the lab lives: its name, the identities of
    its containers and networks, their bridges and interfaces, mounts, and the processes in its containers. The engine
    must be local. Example::

        with LabWatch(engine, "demo") as watch:
            ...  # make lab LAB=demo, kill something, make down LAB=demo
            watch.assert_nothing_left()
    """

    def __init__(self, engine: Engine, lab: str) -> None:
        self._engine = engine
        self._lab = lab
        self.marks = {
            f"flumelab-{lab}-",
            f"flumelab-{lab}",
            f"FLUME_LAB={lab}",
            f"flumelab.lab={lab}",
            f"flumelab.lock={lab}",
        }
        self._bridges: set[str] = set()

    def __enter__(self) -> Self:
        """Take the snapshot with which others are compared, and listen."""
        self._before = self._take()
        self._events = self._engine._api.events(decode=True)
        self._thread = threading.Thread(target=self._listen, name="lab-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._events.close()
        self._thread.join()

    def left(self) -> tuple[str, ...]:
        """Return what is left of the lab now, each in words, and what could not be read, although this user may."""
        assert self._thread.is_alive(), "the engine's events have ended, so what the lab was made of is not known"
        difference = compare(self._before, self._take())
        return (
            *map(str, named_by(set(self.marks), difference.left)),
            *(f"not read: {one}" for one in difference.unread if not one.endswith(ROOTS_OWN)),
        )

    def assert_nothing_left(self, case: str = "", *, timeout_s: float = 20.0) -> None:
        """Fail with *case* and all that is left *timeout_s* later: the kernel takes a moment to let go of some."""
        found: list[tuple[str, ...]] = []

        def is_clean() -> bool:
            found.append(self.left())
            return not found[-1]

        assert wait_until(is_clean, timeout_s=timeout_s), "\n".join([f"left of lab {self._lab}: {case}", *found[-1]])

    def _take(self) -> Snapshot:
        return take(readers(self._engine))

    def _listen(self) -> None:
        # Closing the stream ends the iteration, with or without an error.
        with contextlib.suppress(OSError, ValueError, AttributeError, requests.exceptions.RequestException):
            for event in self._events:
                self._on_event(event)

    def _on_event(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor", {})
        identity, attributes = actor.get("ID", ""), actor.get("Attributes", {})
        if not attributes.get("name", "").startswith(f"flumelab-{self._lab}-"):
            return
        match event.get("Type"), event.get("Action"):
            case "container", "create":
                self.marks.add(identity)
            case "container", "start":
                self._look(identity)
            case "network", "create":
                self.marks |= {identity, f"br-{identity[:12]}"}
                self._bridges.add(f"br-{identity[:12]}")

    def _look(self, container: str) -> None:
        """Note what the engine and the kernel have made for *container*."""
        try:
            about = self._engine._api.inspect_container(container)
        except (docker.errors.APIError, requests.exceptions.RequestException):
            return  # it has ended meanwhile; its identity is known
        self.marks |= marks_of(about)
        for path in Path("/sys/class/net").iterdir():
            if (path / "master").resolve().name in self._bridges:
                self.marks.add(path.name)


def marks_of(inspection: dict[str, Any]) -> set[str]:
    """Return what the *inspection* of a container names: its mounts, and the interfaces of a wire."""
    layers = (inspection.get("GraphDriver") or {}).get("Data") or {}
    found = {layers["MergedDir"]} if "MergedDir" in layers else set()
    found |= {one["Name"] for one in inspection.get("Mounts", ()) if one.get("Name")}
    if inspection["HostConfig"]["NetworkMode"] != "host":  # all of those share the engine's own, which stays
        sandbox = inspection["NetworkSettings"]["SandboxKey"]
        found |= {sandbox, sandbox.replace("/var/run/", "/run/")} - {""}
    if inspection["State"]["Pid"]:
        found.add(f"fw{inspection['State']['Pid']}-")
    return found
