"""Which engine a lab runs on: this machine's (or ``DOCKER_HOST``'s), or the one in the lab kernel.

Pure, but for what is handed in: what the engine's kernel can do, and what this machine is.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from flume.errors import SettingsError, SetupError

Wish = Literal["auto", "local", "kernel"]
Kind = Literal["local", "kernel"]
WISHES: tuple[Wish, ...] = ("auto", "local", "kernel")

ARCHITECTURE = "x86_64"
"""The only one that Debian's User Mode Linux is built for."""

_CURES = {
    "wsl2": "WSL2's kernel is built without it: build one with CONFIG_NET_SCH_NETEM=y from "
    "github.com/microsoft/WSL2-Linux-Kernel and name it in .wslconfig (kernel=…)",
    "docker-desktop": "Docker Desktop's virtual machine has none: use an engine in a Linux virtual machine of your own",
    "ubuntu": "apt-get install linux-modules-extra-{release} && modprobe sch_netem",
    "debian": "modprobe sch_netem (it is in the package linux-image-{release}, or linux-modules-{release} where "
    "there is one)",
    "fedora": "dnf install kernel-modules-extra-{release} && modprobe sch_netem",
    "rhel": "dnf install kernel-modules-extra-{release} && modprobe sch_netem",
    "arch": "modprobe sch_netem (it is in the package linux; reboot after an update of it)",
    "suse": "modprobe sch_netem (it is in the package kernel-default)",
}
"""System, by its ID or ID_LIKE in ``/etc/os-release`` → what gives its kernel sch_netem; first match wins."""

_ANY_CURE = "a kernel with CONFIG_NET_SCH_NETEM (try modprobe sch_netem)"


class Choice(NamedTuple):
    """An engine, and why it is this one."""

    kind: Kind
    reason: str


class Machine(NamedTuple):
    """What decides whether the lab kernel can run here."""

    architecture: str
    os_release: Mapping[str, str]
    release: str
    """The running kernel's, as ``uname -r`` says."""
    has_packages: bool
    can_install: bool
    is_root: bool


def parse_wish(text: str) -> Wish:
    """Return *text* as a wish; raises :class:`SettingsError`. Nothing at all means ``auto``."""
    for wish in WISHES:
        if wish == (text or "auto"):
            return wish
    raise SettingsError("engine", text, f"one of {', '.join(WISHES)}")


def choose(wish: Wish, *, netem: bool, foreign: str | None, has_netem: Callable[[], bool], machine: Machine) -> Choice:
    """Return the engine for a lab that needs *netem* or does not.

    *foreign* is ``DOCKER_HOST``, *has_netem* asks that engine or the local one. Raises :class:`SetupError` that says
    what netem needs on this system where there is no way to have it.
    """
    where = f"the engine at {foreign}" if foreign else "the local engine"
    if wish == "kernel":
        check_kernel_can_run(machine)
        return Choice("kernel", "the lab kernel was asked for (ENGINE=kernel)")
    if not netem:
        return Choice("local", f"{where}: no link needs netem")
    if has_netem():
        return Choice("local", f"{where}: its kernel has netem")
    if wish == "local":
        raise SetupError(
            f"{where} was asked for (ENGINE=local), and its kernel has no netem: {cure(machine)}; "
            "or let the lab take a kernel of its own (ENGINE=auto)"
        )
    if foreign:
        raise SetupError(
            f"the kernel of {where} has no netem: load sch_netem there, unset DOCKER_HOST, "
            "or ask for the lab kernel on this machine with ENGINE=kernel"
        )
    check_kernel_can_run(machine)
    return Choice("kernel", "the lab kernel (User Mode Linux): the local engine's kernel has no netem")


def check_kernel_can_run(machine: Machine) -> None:
    """Raise :class:`SetupError` where the lab kernel cannot run; it says what netem needs here instead."""
    if machine.architecture != ARCHITECTURE:
        why = f"runs on {ARCHITECTURE}, and this is {machine.architecture}"
    elif not machine.has_packages and not machine.can_install:
        why = "needs the programs linux.uml (package user-mode-linux), modprobe and crun, and they are not here"
    elif not machine.is_root:
        why = "needs root for its network link and its namespaces: use sudo"
    else:
        return
    raise SetupError(f"the lab kernel {why}; or give this machine's own kernel netem: {cure(machine)}")


def cure(machine: Machine) -> str:
    """Return in words what gives this system's own kernel the module sch_netem."""
    release = machine.release
    names = {machine.os_release.get("ID", ""), *machine.os_release.get("ID_LIKE", "").split()}
    if "microsoft" in release.lower():
        names = {"wsl2"}
    elif "linuxkit" in release.lower():
        names = {"docker-desktop"}
    known = next((text for name, text in _CURES.items() if name in names), _ANY_CURE)
    return known.format(release=release)


def parse_os_release(text: str) -> dict[str, str]:
    """Return the settings of ``/etc/os-release``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
