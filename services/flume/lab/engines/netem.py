"""Where the links of an engine's labs meet netem: in the engine's own kernel, in a wire, or nowhere.

A wire is a container with a User Mode Linux kernel that has netem (``lab/link/wires.py``).
"""

import os
import platform
import shutil
import subprocess
from typing import Literal, NamedTuple

from flume.errors import SetupError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Engine, EngineInfo, Start
from flume.lab.containers.images import WIRE_ARCHITECTURE
from flume.lab.engines.lock import temporary_lab
from flume.lab.machine.process import last_line

Place = Literal["kernel", "wire"]

_TRY_NETEM = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
"""Adds a netem qdisc in a network namespace that ends with the command. Status 0: the kernel has netem."""

_UNKNOWN = ("qdisc kind is unknown", "RTNETLINK answers: No such file or directory")
"""tc's words for a kernel that has no netem; another failure is none of the kernel's."""

_LOAD = "modprobe sch_netem"
_REMEDIES = {
    "microsoft": "WSL2's kernel is built without it: build one with CONFIG_NET_SCH_NETEM=y from "
    "github.com/microsoft/WSL2-Linux-Kernel and name it in .wslconfig (kernel=…)",
    "linuxkit": "Docker Desktop's virtual machine has none: use an engine in a Linux virtual machine of your own",
    **dict.fromkeys(("ubuntu", "mint", "pop!_os"), f"apt-get install linux-modules-extra-{{kernel}} && {_LOAD}"),
    **dict.fromkeys(
        ("debian", "raspbian", "kali"),
        f"{_LOAD} (it is in the package linux-image-{{kernel}}, or linux-modules-{{kernel}} where there is one)",
    ),
    **dict.fromkeys(
        ("fedora", "red hat", "centos", "rocky", "alma"), f"dnf install kernel-modules-extra-{{kernel}} && {_LOAD}"
    ),
    "arch linux": f"{_LOAD} (it is in the package linux; reboot after an update of it)",
    "suse": f"{_LOAD} (it is in the package kernel-default)",
}
"""Word in the release of an engine's kernel or in the name of its system → what gives that kernel sch_netem. The first
match counts."""

_ANY_REMEDY = f"a kernel with CONFIG_NET_SCH_NETEM (try {_LOAD})"


class Netem(NamedTuple):
    """Where netem is, and the reason in words."""

    place: Place
    reason: str


def find_netem(engine: Engine) -> Netem:
    """Return where the links of labs on *engine* meet netem. Raises :class:`SetupError` where they cannot."""
    return choose(engine.info, has_netem=engine_has_netem(engine))


def choose(engine: EngineInfo, *, has_netem: bool) -> Netem:
    """Return the place of netem for *engine*; *has_netem*: whether its own kernel has it. Pure.

    Raises :class:`SetupError` with the remedy for the engine's system where neither the kernel nor a wire has netem.
    """
    kernel = f"the engine's kernel, Linux {engine.kernel}"
    if has_netem:
        return Netem("kernel", f"{kernel}, has netem")
    lacks = f"{kernel}, has no netem (sch_netem)"
    if engine.architecture == WIRE_ARCHITECTURE:
        return Netem("wire", f"{lacks}, so the links go through a wire: a User Mode Linux kernel in a container")
    raise SetupError(
        f"{lacks}, and a wire, which would carry the links, runs on {WIRE_ARCHITECTURE} and not on "
        f"{engine.architecture}; give that kernel netem: {remedy(engine)}"
    )


def remedy(engine: EngineInfo) -> str:
    """Return in words how to give the kernel of *engine*'s system the module sch_netem."""
    names = f"{engine.kernel} {engine.operating_system}".lower()
    known = next((text for name, text in _REMEDIES.items() if name in names), _ANY_REMEDY)
    return known.format(kernel=engine.kernel)


def engine_has_netem(engine: Engine) -> bool:
    """Return whether the kernel that *engine* runs on has netem, by adding a qdisc in a new network namespace.

    If that kernel is this machine's, the trial takes milliseconds here; otherwise it takes a container.
    """
    here = engine.endpoint.is_local and engine.info.kernel == platform.release()
    local = here and engine.info.name == platform.node()
    if local and os.geteuid() == 0 and shutil.which("tc") is not None and shutil.which("unshare") is not None:
        tried = subprocess.run(_TRY_NETEM, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if tried.returncode == 0 or any(text in tried.stderr for text in _UNKNOWN):
            return tried.returncode == 0
        # Not tried, such as in a container that may make no namespace: that shows nothing about the kernel.
    layout = topology.load_file(checkout.lab_yaml())
    with temporary_lab(engine, "netem", image=layout.service("probe").image) as lab:
        probe = engine.start_service(lab, "netem", layout, Start(service="probe", role="probe"))
        return tried_in(probe)


def tried_in(probe: Container) -> bool:
    """Return whether the kernel of *probe*'s host has netem. Raises :class:`SetupError` if it could not be tried."""
    done = probe.exec(_TRY_NETEM)
    if done.code == 0 or any(text in done.stderr for text in _UNKNOWN):
        return done.code == 0
    raise SetupError(f"whether the engine's kernel has netem could not be tried: {last_line(done.stderr)}")
