"""The choice of a lab's engine: the usual one (local, or at ``DOCKER_HOST``), or the one in the lab kernel.

Pure: whether the engine's kernel has netem, and what this machine is, are arguments.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from flume.errors import SettingsError, SetupError

EnginePreference = Literal["auto", "local", "kernel"]
Kind = Literal["local", "kernel"]
PREFERENCES: tuple[EnginePreference, ...] = ("auto", "local", "kernel")

ARCHITECTURE = "x86_64"
"""The only architecture for which Debian builds User Mode Linux."""

_REMEDIES = {
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
"""ID or ID_LIKE in ``/etc/os-release`` → what gives that system's kernel sch_netem. The first match counts."""

_ANY_REMEDY = "a kernel with CONFIG_NET_SCH_NETEM (try modprobe sch_netem)"


class Choice(NamedTuple):
    """The kind of engine that was chosen, and the reason in words."""

    kind: Kind
    reason: str


class Machine(NamedTuple):
    """The properties of this machine that decide whether the lab kernel can run here."""

    architecture: str
    os_release: Mapping[str, str]
    release: str
    """Of the running kernel: the output of ``uname -r``."""
    has_packages: bool
    can_install: bool
    is_root: bool


def parse_preference(text: str) -> EnginePreference:
    """Return *text* as a preference; an empty text means ``auto``. Raises :class:`SettingsError`."""
    for preference in PREFERENCES:
        if preference == (text or "auto"):
            return preference
    raise SettingsError("engine", text, f"one of {', '.join(PREFERENCES)}")


def choose(
    preference: EnginePreference,
    *,
    netem: bool,
    docker_host: str | None,
    has_netem: Callable[[], bool],
    machine: Machine,
) -> Choice:
    """Return the engine for a lab; *netem*: whether one of its links needs netem.

    *docker_host* is the value of ``DOCKER_HOST``, if it is set. *has_netem* looks whether the kernel of the usual
    engine has netem; it is called only where the answer matters, because it takes time. Raises :class:`SetupError` with
    this system's remedy where netem is needed and no engine has it.

    >>> machine = Machine("x86_64", {"ID": "debian"}, "6.1.0", has_packages=True, can_install=True, is_root=True)
    >>> choose("auto", netem=True, docker_host=None, has_netem=lambda: False, machine=machine).kind
    'kernel'
    """
    where = f"the engine at {docker_host}" if docker_host else "the local engine"
    if preference == "kernel":
        check_kernel_can_run(machine)
        return Choice("kernel", "the lab kernel was asked for (ENGINE=kernel)")
    if not netem:
        return Choice("local", f"{where}: no link needs netem")
    if has_netem():
        return Choice("local", f"{where}: its kernel has netem")
    if preference == "local":
        raise SetupError(
            f"{where} was asked for (ENGINE=local), and its kernel has no netem: {remedy(machine)}; "
            "or let the lab take a kernel of its own (ENGINE=auto)"
        )
    if docker_host:
        raise SetupError(
            f"the kernel of {where} has no netem: load sch_netem there, unset DOCKER_HOST, "
            "or ask for the lab kernel on this machine with ENGINE=kernel"
        )
    check_kernel_can_run(machine)
    return Choice("kernel", "the lab kernel (User Mode Linux): the local engine's kernel has no netem")


def check_kernel_can_run(machine: Machine) -> None:
    """Raise :class:`SetupError` where the lab kernel cannot run; the message has the remedy for its own kernel."""
    if machine.architecture != ARCHITECTURE:
        why = f"runs on {ARCHITECTURE}, and this is {machine.architecture}"
    elif not machine.has_packages and not machine.can_install:
        why = "needs the programs linux.uml (package user-mode-linux), modprobe and crun, which are missing"
    elif not machine.is_root:
        why = "needs root for its network link and its namespaces: use sudo"
    else:
        return
    raise SetupError(f"the lab kernel {why}; or give this machine's own kernel netem: {remedy(machine)}")


def remedy(machine: Machine) -> str:
    """Return in words how to give this system's own kernel the module sch_netem."""
    release = machine.release
    names = {machine.os_release.get("ID", ""), *machine.os_release.get("ID_LIKE", "").split()}
    if "microsoft" in release.lower():
        names = {"wsl2"}
    elif "linuxkit" in release.lower():
        names = {"docker-desktop"}
    known = next((text for name, text in _REMEDIES.items() if name in names), _ANY_REMEDY)
    return known.format(release=release)


def parse_os_release(text: str) -> dict[str, str]:
    """Return the settings of ``/etc/os-release``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
