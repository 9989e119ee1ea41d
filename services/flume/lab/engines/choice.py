"""The engine that a lab would use now: looks at this machine and its engine, and calls ``decision`` with the facts."""

import os
import platform
import secrets
import shutil
import subprocess
from pathlib import Path

from flume.errors import EngineError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Start
from flume.lab.engines.decision import Choice, EnginePreference, Machine, choose, parse_os_release
from flume.lab.kernel import boot
from flume.lab.machine import packages

_TRY_NETEM = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
"""Adds a netem qdisc in a network namespace that ends with the command. Status 0: the kernel has netem."""


def explain(*, netem: bool = True, preference: EnginePreference = "auto") -> Choice:
    """Return the engine that a lab would use now, and the reason. Raises :class:`LabError` where none can be used."""

    def has_netem() -> bool:
        try:
            with Engine.connect() as engine:
                return engine_has_netem(engine)
        except EngineError:
            if _docker_host() or not _can_try_here():
                raise
            return _has_netem_here()  # an engine started here would run on this machine's kernel

    return choose(preference, netem=netem, docker_host=_docker_host(), has_netem=has_netem, machine=this_machine())


def choose_for(engine: Engine, *, netem: bool, preference: EnginePreference) -> Choice:
    """Return whether a lab uses *engine*, which is the local engine or that of ``DOCKER_HOST``, or the lab kernel."""
    return choose(
        preference,
        netem=netem,
        docker_host=_docker_host(),
        has_netem=lambda: engine_has_netem(engine),
        machine=this_machine(),
    )


def _docker_host() -> str | None:
    return os.environ.get("DOCKER_HOST") or None


def this_machine() -> Machine:
    """Return the properties of this machine."""
    try:
        release = Path("/etc/os-release").read_text()
    except OSError:
        release = ""
    return Machine(
        architecture=platform.machine(),
        os_release=parse_os_release(release),
        release=platform.release(),
        has_packages=not packages.missing(boot.PACKAGES),
        can_install=shutil.which("apt-get") is not None,
        is_root=os.geteuid() == 0,
    )


def engine_has_netem(engine: Engine) -> bool:
    """Return whether the kernel that *engine* runs on has netem, by adding a qdisc in a new network namespace.

    If that kernel is this machine's, the trial takes milliseconds here; otherwise it takes a container.
    """
    local = engine.info.endpoint.startswith("unix:") and engine.info.kernel == platform.release()
    if local and _can_try_here():
        return _has_netem_here()
    lab = f"netem-{secrets.token_hex(4)}"
    layout = topology.load_file(checkout.lab_yaml())
    try:
        probe = engine.start_service(lab, "netem", layout, Start(service="probe", role="probe"))
        return probe.exec(_TRY_NETEM).code == 0
    finally:
        engine.remove_lab(lab)


def _can_try_here() -> bool:
    return os.geteuid() == 0 and shutil.which("tc") is not None and shutil.which("unshare") is not None


def _has_netem_here() -> bool:
    return subprocess.run(_TRY_NETEM, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
