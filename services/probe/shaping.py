"""Sets the qdiscs of links, follows the steps of profiles that change with time, and reads everything back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from probe import links
from probe.commands import Command, batch, entered, named, run_side_by_side, section
from probe.links import Link
from probe.timing import current_step, pause_s

PYTHON = (sys.executable, "-IS")


class Step(NamedTuple):
    """From *at_s* of the period on: tc commands for this namespace (*down*) and for the client's (*up*)."""

    at_s: float
    down: Sequence[Command]
    up: Sequence[Command]


class LinkSpec(NamedTuple):
    """What ``apply`` is asked for one link; interfaces in the commands are called LINK."""

    number: int
    pid: int
    profile: str
    """Remembered and returned as it is."""
    down: Sequence[Command]
    up: Sequence[Command]
    period_s: float
    steps: Sequence[Sequence[Any]]
    """The fields of a :class:`Step`; none for a link that stays as it is."""


def apply(request: Mapping[str, Any]) -> None:
    """Set every link of *request* (``{"links": [LinkSpec, ...]}``), remember it, start its steps, read it back."""
    netem = _has_netem()
    section("all", "netem", str(int(netem)))
    if not netem:
        return  # the caller knows whether it needs one
    specs = [LinkSpec(**fields) for fields in request["links"]]
    found = []
    for spec in specs:
        found.append(links.link_of(spec.number, spec.pid))
        _stop_steps(spec.number)
    down = [line for spec, link in zip(specs, found, strict=True) for line in named(spec.down, link.interface)]
    up = [named(spec.up, "eth0") for spec in specs]
    for spec, link in zip(specs, found, strict=True):
        links.write(link.number, "profile", spec.profile)
        links.write(link.number, "link", f"{link.pid} {link.interface}")
    read_back(found, down, up)
    # Only now: what was read back is what was set. From here on the steps change it.
    for spec, link in zip(specs, found, strict=True):
        if spec.steps:
            _start_steps(spec, link)


def _has_netem() -> bool:
    """Whether this kernel has netem: tried once, in a namespace that ends with the attempt, and remembered."""
    remembered = links.read("all", "netem")
    if not remembered:
        command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "1000"]
        remembered = str(int(subprocess.run(command, capture_output=True, check=False).returncode == 0))
        links.write("all", "netem", remembered)
    return remembered == "1"


def read_back(
    found: Sequence[Link], down: Sequence[Command] = (), up: Sequence[Sequence[Command]] | None = None
) -> None:
    """Run tc commands and write the qdiscs of all links with their counters and what is remembered of each link.

    *down* runs in this namespace, *up* in the namespace of each link. Setting and reading are one process a namespace.
    """
    tc = ["tc", "-s", "-j", "-batch", "-"]
    commands: list[tuple[Command, str]] = [(tc, batch(down) + "qdisc show\n")]
    for link, lines in zip(found, up or [()] * len(found), strict=True):
        commands.append(([*entered(link.pid), *tc], batch(lines) + "qdisc show dev eth0\n"))
    host, *clients = run_side_by_side(commands)
    section("host", "qdisc", host)
    for link, text in zip(found, clients, strict=True):
        subject = str(link.number)
        section(subject, "link", f"{link.pid} {link.interface}")
        section(subject, "qdisc", text)
        section(subject, "profile", links.read(link.number, "profile"))
        section(subject, "own", links.read(link.number, "own"))
        group = links.read(link.number, "steps")
        section(subject, "steps", str(int(not group or _group_runs(int(group)))))


# --- steps -----------------------------------------------------------------------------------------------------------


def _start_steps(spec: LinkSpec, link: Link) -> None:
    """Start a process that changes *link* with time, and remember it."""
    steps = [[at_s, named(down, link.interface), named(up, "eth0")] for at_s, down, up in spec.steps]
    text = repr({"pid": link.pid, "interface": link.interface, "period_s": spec.period_s, "steps": steps})
    process = subprocess.Popen(
        [*PYTHON, sys.argv[0], "steps", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    links.write(link.number, "steps", str(process.pid))


def follow_steps(spec: Mapping[str, Any]) -> None:
    """Change one link at the moments of its profile's steps until the link is gone.

    The wall clock counts, as it does for satellites: all links of a profile change at the same moments.
    """
    link, period_s = Link(0, spec["pid"], spec["interface"]), spec["period_s"]
    steps = [Step(*fields) for fields in spec["steps"]]
    starts_s = [step.at_s for step in steps]
    while link.exists:
        phase_s = time.time() % period_s
        step = steps[current_step(starts_s, phase_s)]
        tc = ["tc", "-batch", "-"]
        commands = [(tc, batch(step.down)), ([*entered(link.pid), *tc], batch(step.up))]
        run_side_by_side([(command, text) for command, text in commands if text])
        elapsed_s = (time.time() % period_s - phase_s) % period_s
        time.sleep(pause_s(starts_s, period_s, phase_s, elapsed_s))


def _stop_steps(number: int) -> None:
    """End the process that changes a link, and wait until it and its tc have gone: neither may follow a new setting."""
    group = links.read(number, "steps")
    if not group:
        return
    try:
        with open(f"/proc/{group}/cmdline") as file:
            ours = "link-probe\0steps" in file.read()
        if ours:
            os.killpg(int(group), signal.SIGKILL)
            while _group_runs(int(group)):
                time.sleep(0.002)
    except (FileNotFoundError, ProcessLookupError):
        pass
    os.unlink(links.path(number, "steps"))


def _group_runs(group: int) -> bool:
    """Whether a process of *group* still runs; a zombie does not."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False
