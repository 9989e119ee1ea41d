"""Which engine a lab would use here and now: asks this machine and its engine, and lets ``decision`` decide."""

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
from flume.lab.engines.decision import Choice, Machine, Wish, choose, parse_os_release
from flume.lab.kernel import boot
from flume.lab.machine import packages

_ASK = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
"""In a network namespace that ends with the command."""


def explain(*, netem: bool = True, wish: Wish = "auto") -> Choice:
    """Return which engine a lab would use now, and why. Raises :class:`LabError` where it could have none."""

    def has_netem() -> bool:
        try:
            with Engine.connect() as engine:
                return engine_has_netem(engine)
        except EngineError:
            if _foreign() or not _can_try_here():
                raise
            return _has_netem_here()  # the engine that would be started runs on this machine's kernel

    return choose(wish, netem=netem, foreign=_foreign(), has_netem=has_netem, machine=this_machine())


def choose_for(engine: Engine, *, netem: bool, wish: Wish) -> Choice:
    """Return whether a lab uses *engine*, the local or foreign one that answered, or the lab kernel."""
    return choose(
        wish, netem=netem, foreign=_foreign(), has_netem=lambda: engine_has_netem(engine), machine=this_machine()
    )


def _foreign() -> str | None:
    return os.environ.get("DOCKER_HOST") or None


def this_machine() -> Machine:
    """Return what this machine is."""
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
    """Return whether the kernel that *engine* runs on has netem, by trying it in a namespace made for that.

    Where the engine's kernel is this machine's it is tried here, which takes milliseconds; else in a container.
    """
    local = engine.info.endpoint.startswith("unix:") and engine.info.kernel == platform.release()
    if local and _can_try_here():
        return _has_netem_here()
    lab = f"netem-{secrets.token_hex(4)}"
    layout = topology.load_file(checkout.lab_yaml())
    try:
        probe = engine.start_service(lab, "netem", layout, Start(service="probe", role="probe"))
        return probe.exec(_ASK).code == 0
    finally:
        engine.remove_lab(lab)


def _can_try_here() -> bool:
    return os.geteuid() == 0 and shutil.which("tc") is not None and shutil.which("unshare") is not None


def _has_netem_here() -> bool:
    return subprocess.run(_ASK, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
