"""What labs leave on this machine: compared before a lab and after it."""

import tempfile
from pathlib import Path

from flume.lab.containers.engine import Engine

Traces = dict[str, set[str]]
"""Kind → what there is of it."""


def traces(engine: Engine, lab: str) -> Traces:
    """Return what of this machine a lab may change, and what the engine has of *lab*. The engine must be local."""
    return {
        "objects": {str(one) for one in engine.objects(lab=lab)},
        "interfaces": {path.name for path in Path("/sys/class/net").iterdir()},
        "mounts": {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "packet sockets": {line.split()[8] for line in Path("/proc/net/packet").read_text().splitlines()[1:]},
        "unix sockets": {line for line in _unix_sockets() if "wire" in line or "flumelab" in line},
        "processes": set(_processes()),
        "files": {str(path) for path in Path(tempfile.gettempdir()).glob("flumelab-*")},
    }


def differences(before: Traces, after: Traces) -> dict[str, tuple[set[str], set[str]]]:
    """Return for each kind what has gone and what has come, where anything has."""
    return {
        kind: (before[kind] - after[kind], after[kind] - before[kind]) for kind in before if before[kind] != after[kind]
    }


def _unix_sockets() -> list[str]:
    return [line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) > 7]


def _processes() -> list[str]:
    """Return "number name" of each process that runs in a container, or is a kernel of a wire."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = "docker" in (folder / "cgroup").read_text() or b"linux.uml" in (folder / "cmdline").read_bytes()
            if inside:
                found.append(f"{folder.name} {(folder / 'comm').read_text().strip()}")
        except OSError:
            continue  # it has ended meanwhile
    return found
