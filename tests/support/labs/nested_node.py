"""A machine with a Docker engine, as a container: its image, and how it is created. Used by ``nested.py`` alone."""

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flume.errors import EngineError
from flume.lab.checkout import project_root
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import LABEL_INPUTS

IMAGE = f"{images.PREFIX}test-node"
"""One of ours by its name, so that `make purge` removes it, and the base that it is built on."""

FOLDER = Path(__file__).parent / "node"
FILES = {"Dockerfile": 0o644, "start-node": 0o755}

CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYSLOG")
"""Beside the engine's own list: what an engine and the lab's containers on it need. --privileged would also ask for
SYS_RESOURCE, which a machine that is a container itself may lack."""


def ensure_image(engine: Engine) -> None:
    """Build :data:`IMAGE`, unless it is there and its inputs are unchanged. About 20 s, once."""
    inputs = images.Inputs(project_root())
    base = images.ensure_base(engine, inputs, say=print, interactive=False)
    found = engine.images.find(base)
    total = hashlib.sha256((found.id if found else "").encode())
    for name in FILES:
        total.update((FOLDER / name).read_bytes())
    present = engine.images.find(IMAGE)
    if present is not None and present.labels.get(LABEL_INPUTS) == total.hexdigest():
        return
    labels = {LABEL_INPUTS: total.hexdigest()}
    for _ in engine.images.build(_context(), IMAGE, target="node", arguments={"BASE": base}, labels=labels):
        pass
    engine.images.prune(label=LABEL_INPUTS)


def _context() -> io.BytesIO:
    return archive({name: (FOLDER / name).read_bytes() for name in FILES}, modes=FILES)


def archive(files: Mapping[str, bytes], *, modes: Mapping[str, int] | None = None) -> io.BytesIO:
    """Return a tar archive of *files*, path → content; their folders are made where it is unpacked."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size = len(content)
            info.mode = (modes or {}).get(name, 0o600)
            tar.addfile(info, io.BytesIO(content))
    packed.seek(0)
    return packed


def create(
    engine: Engine,
    name: str,
    arguments: Sequence[str],
    *,
    hostname: str,
    network: str,
    address: str,
    volume: str,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
) -> str:
    """Create a node as a container that is not started; return its id. *arguments* are those of ``start-node``."""
    api = engine._api
    with engine._errors(f"create {name}"):
        created = api.create_container(
            image=IMAGE,
            command=list(arguments),
            name=name,
            hostname=hostname,
            environment=dict(environment),
            labels=dict(labels),
            networking_config=api.create_networking_config({network: api.create_endpoint_config(ipv4_address=address)}),
            host_config=_host_config(api, network, volume),
            use_config_proxy=False,
        )
    return str(created["Id"])


def _host_config(api: Any, network: str, volume: str) -> Any:
    return api.create_host_config(
        network_mode=network,
        cap_add=list(CAPABILITIES),
        # systempaths=unconfined, as the command `docker` sends it: nothing of /proc and /sys is masked or read-only.
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        binds=[f"{volume}:/disks"],
        tmpfs={"/run": "mode=755"},
        init=True,
        userns_mode="host",
        log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}},
    ) | {"MaskedPaths": [], "ReadonlyPaths": []}


def start(engine: Engine, identity: str, name: str) -> None:
    """Start a node. An engine that does not give what it needs is an :class:`EngineError` that says so."""
    try:
        with engine._errors(f"start {name}"):
            engine._api.start(identity)
    except EngineError as error:
        if "caps" not in str(error) and "operation not permitted" not in str(error):
            raise
        raise EngineError(
            f"{error}: an engine in a container needs the capabilities in support/labs/nested_node.py, which this "
            "engine does not have itself: start it with them (in a container: docker run --privileged)"
        ) from error
