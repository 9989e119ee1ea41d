"""What a lab has on this machine, and what of it is still there later. Other labs and programs do not disturb it."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import docker.errors

from flume.lab.containers.engine import Engine


class Trace(NamedTuple):
    """One thing of a lab."""

    kind: str
    """process, interface, mount, socket or file."""
    name: str


def traces(engine: Engine, lab: str) -> set[Trace]:
    """Return what *lab* has now. The engine must be local."""
    ids = [one.id for one in engine.find(lab=lab)]
    found = {Trace("process", name) for name, cgroup in _processes().items() if any(one in cgroup for one in ids)}
    wanted = set().union(*(_mounts_of(engine, one) for one in ids))
    found |= {Trace("mount", path) for path in _mounts() if path in wanted}
    networks = engine._api.networks(filters={"label": f"flumelab.lab={lab}"})
    bridges = {f"br-{one['Id'][:12]}" for one in networks}
    for interface in Path("/sys/class/net").iterdir():
        if interface.name in bridges or (interface / "master").resolve().name in bridges:
            found.add(Trace("interface", interface.name))
    return found | _files(lab)


def still_there(seen: set[Trace], engine: Engine, lab: str) -> set[object]:
    """Return what there is of *seen*, and whatever else is of *lab*."""
    present = {
        "process": set(_processes()),
        "mount": set(_mounts()),
        "interface": {path.name for path in Path("/sys/class/net").iterdir()},
        "file": {trace.name for trace in _files(lab)},
    }
    return {one for one in seen if one.name in present[one.kind]} | {*engine.objects(lab=lab)} | _files(lab)


def _processes() -> dict[str, str]:
    """Return "number name" of each process → its control groups."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[f"{folder.name} {(folder / 'comm').read_text().strip()}"] = (folder / "cgroup").read_text()
        except OSError:
            continue  # it has ended meanwhile
    return found


def _mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _mounts_of(engine: Engine, container: str) -> set[str]:
    """Return where the engine mounts the file system and the network namespace of *container*."""
    try:
        about = engine._api.inspect_container(container)
    except docker.errors.NotFound:
        return set()
    places = {about["GraphDriver"]["Data"]["MergedDir"]}
    if about["HostConfig"]["NetworkMode"] != "host":  # all of those share the engine's own, which stays
        sandbox = about["NetworkSettings"]["SandboxKey"]
        places |= {sandbox, sandbox.replace("/var/run/", "/run/")}
    return places


def _files(lab: str) -> set[Trace]:
    return {Trace("file", str(path)) for path in Path(tempfile.gettempdir()).glob(f"flumelab-{lab}*")}
