"""One run of a lab at a time, whoever starts it and wherever: the lock is on the engine, and names its owner.

A run that was killed leaves its lock. The next run takes it over where the owner is provably dead: its process is not
on the host that it names. Of another host that cannot be known, and a person decides (``make down``).
"""

import contextlib
import os
import platform
import pwd
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from flume.errors import EngineError, LabError
from flume.lab.containers.engine import Engine
from flume.lab.containers.lock_store import Held
from flume.lab.hosts.site import Site
from flume.lab.machine.interrupts import clearing_away
from flume.lab.machine.process import has_gone, start_ticks
from flume.untrusted_json import decode_untrusted

_ATTEMPTS = 20
"""Of taking a lock that is just being given up or taken over."""

_TEMPORARY = re.compile(r"(calibration|netem)-[0-9a-f]{8}")
_TEMPORARY_ON_HOSTS = re.compile(r"(calibration|netem|preflight)-[0-9a-f]{8}")

Life = Literal["alive", "dead", "unknown"]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds a lock."""

    user: str
    host: str
    pid: int
    since_s: float
    """Epoch seconds."""
    started: int = 0
    """In clock ticks since boot: a later process with the same number has another."""
    boot: str = ""
    """The kernel's identity since it was booted."""
    namespace: str = ""
    """Of process numbers: in a container they are others."""
    machine: str = ""
    """The identity of the installed system, which a reboot does not change."""

    def __str__(self) -> str:
        """Return it in words.

        >>> print(Owner(user="ann", host="desk", pid=7, since_s=0))
        process 7 of ann on desk, since 1970-01-01 00:00:00 UTC
        """
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since_s))
        return f"process {self.pid} of {self.user} on {self.host}, since {since}"


def this_process() -> Owner:
    """Return this process as an owner."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # no entry for this number among the users
        user = f"user {os.geteuid()}"
    return Owner(
        user=user,
        host=platform.node(),
        pid=os.getpid(),
        since_s=time.time(),
        started=start_ticks(os.getpid()) or 0,
        boot=_text("/proc/sys/kernel/random/boot_id"),
        namespace=_link("/proc/self/ns/pid"),
        machine=_text("/etc/machine-id"),
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def life(owner: Owner, here: Owner, *, local: bool) -> Life:
    """Return whether *owner* lives, as far as *here*, a process on this host, can know.

    *local*: the engine is reached by a socket of this host, so its locks are of processes of this host.
    """
    if owner.boot and owner.boot == here.boot and owner.namespace == here.namespace:
        return "dead" if has_gone(owner.pid, owner.started) else "alive"
    same_host = owner.host == here.host and owner.machine == here.machine and bool(owner.machine)
    if local and same_host and owner.boot and here.boot and owner.boot != here.boot:
        return "dead"  # this host was booted again since
    return "unknown"


def _owner(held: Held) -> Owner | None:
    try:
        return decode_untrusted(held.owner, Owner)
    except msgspec.DecodeError:
        return None


def _life(held: Held, engine: Engine) -> Life:
    owner = _owner(held)
    return "unknown" if owner is None else life(owner, this_process(), local=engine.endpoint.is_local)


@contextlib.contextmanager
def only_one(engine: Engine, lab: str, *, image: str) -> Iterator[None]:
    """Hold the lock of *lab* on *engine* in the body; it is made of *image*, of which nothing is run.

    Raises :class:`LabError` that names the owner while another run holds it, or where it may.
    """
    held = _take(engine, lab, image)
    try:
        yield
    finally:
        # On a connection of its own: an interrupt may have come while a pooled one was being handed out. A lock that
        # could not be removed belongs to a dead process soon.
        with contextlib.suppress(EngineError), Engine.connect(engine.endpoint, host=engine.host) as again:
            again.locks.remove(held)


@contextlib.contextmanager
def only_one_everywhere(site: Site, lab: str, *, image: str) -> Iterator[None]:
    """Hold the lock of *lab* on every host of *site* in the body; see :func:`only_one`."""
    with contextlib.ExitStack() as held:
        for host in site.hosts:
            held.enter_context(only_one(host.engine, lab, image=image))
        yield


@contextlib.contextmanager
def temporary_lab(engine: Engine, kind: str, *, image: str, site: Site | None = None) -> Iterator[str]:
    """Yield the name of a new lab for a measurement; remove the lab after the body.

    It has a lock, so that what a killed process leaves is known to be its own: see :func:`remove_ended`. *site*: the
    lab is on all its hosts, and the lock on *engine*.
    """
    remove_ended(engine, site)
    lab = f"{kind}-{secrets.token_hex(4)}"
    place = site or engine
    with only_one(engine, lab, image=image):
        try:
            yield lab
        finally:
            with clearing_away(f"removing lab {lab!r}", lambda: place.names(lab), down_command(lab)):
                place.remove_lab(lab)


def remove_ended(engine: Engine, site: Site | None = None) -> list[str]:
    """Remove temporary labs whose processes are provably dead; return what was removed.

    Those over several hosts are removed where *site* has these.
    """
    removed = []
    for held in engine.locks.find():
        known = _TEMPORARY if site is None else _TEMPORARY_ON_HOSTS
        if known.fullmatch(held.lab) and _life(held, engine) == "dead":
            removed += (site or engine).remove_lab(held.lab)
            engine.locks.remove(held)
    return removed


def _take(engine: Engine, lab: str, image: str) -> Held:
    for _ in range(_ATTEMPTS):
        if held := engine.locks.create(lab, msgspec.json.encode(this_process()).decode(), image=image):
            return held
        for other in engine.locks.find(lab):
            found = _life(other, engine)
            if found != "dead":
                raise LabError(
                    f"{engine.host}: {_refusal(lab, other, found)}" if engine.host else _refusal(lab, other, found)
                )
            engine.locks.remove(other)
        time.sleep(0.05)  # it may be of a name that is just being removed
    raise EngineError(
        f"the lock of lab {lab!r} can neither be made nor found: remove the container flumelab-{lab}-lock"
    )


def down_command(lab: str) -> str:
    """Return the command that removes *lab*.

    >>> down_command("default"), down_command("b")
    ('make down', 'make down LAB=b')
    """
    return "make down" if lab == "default" else f"make down LAB={lab}"


def _refusal(lab: str, other: Held, found: Life) -> str:
    whose = _owner(other) or "its owner is not known"
    rest = f"; if it is no more: {down_command(lab)}" if found == "unknown" else ""
    return (
        f"another run of lab {lab!r} is under way ({whose}): wait for its end, or give this one another name "
        f"(LAB=name){rest}"
    )


def remove_left_over(engine: Engine, lab: str | None) -> tuple[list[str], list[str]]:
    """Remove the locks of *lab* (None: of all labs), except those of runs that live on this host.

    Return what was removed, and who lives.
    """
    removed, living = [], []
    for held in engine.locks.find(lab):
        if _life(held, engine) == "alive":
            living.append(str(_owner(held)))
            continue
        engine.locks.remove(held)
        removed.append(f"lock of {_owner(held) or 'an unknown run'}")
    return removed, living
