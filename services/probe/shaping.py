"""Sets the qdiscs of links, follows the steps of profiles that change with time, and reads everything back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from probe import emulators, links, plugging, wire
from probe.commands import Command, section
from probe.emulators import Shaping
from probe.links import Link
from probe.timing import current_step, pause_s

PYTHON = (sys.executable, "-IS")


class Step(NamedTuple):
    """From *at_s* of the period on: tc commands for the two directions."""

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
    """Set every link of *request*, remember it, start its steps, read it back.

    *request* is ``{"links": [LinkSpec, ...], "wires": [process, ...]}``; without wires the engine's kernel shapes.
    """
    specs, wires = [LinkSpec(**fields) for fields in request["links"]], request["wires"]
    netem = emulators.engine_kernel_has_netem()
    section("all", "netem", str(int(netem)))
    if not netem and not wires:
        return  # the caller knows whether it needs one
    with links.locked():
        for spec in specs:
            _stop_steps(spec.number)
        found = plugging.find_links([(spec.number, spec.pid) for spec in specs], wires)
        for spec in specs:
            links.write(spec.number, "profile", spec.profile)
        work = [Shaping(link, spec.down, spec.up) for spec, link in zip(specs, found, strict=True)]
        read_back(work, wires)
        # Only now: what was read back is what was set. From here on the steps change it.
        for spec, link in zip(specs, found, strict=True):
            if spec.steps:
                _start_steps(spec, link)


def read_back(work: Sequence[Shaping], wires: Sequence[int] = ()) -> None:
    """Run the tc commands of *work*; write the qdiscs of its links with their counters, and what is remembered of each.

    Of *wires* write how many pairs each has left.
    """
    for (link, _, _), qdiscs in zip(work, emulators.run(work), strict=True):
        subject = str(link.number)
        section(subject, "link", f"{link.pid} {link.wire}")
        section(subject, "down", qdiscs.down)
        section(subject, "up", qdiscs.up)
        section(subject, "profile", links.read(link.number, "profile"))
        section(subject, "own", links.read(link.number, "own"))
        group = links.read(link.number, "steps")
        section(subject, "steps", str(int(not group or _group_runs(int(group)))))
    section("all", "spare", " ".join(str(wire.spare_pairs(pid)) for pid in wires))
    section("all", "ended", " ".join(str(link.number) for link in links.remembered_links() if link.lost_its_wire))


def read_all(request: Mapping[str, Any]) -> None:
    """Write the state of all links that exist; *request* is ``{"wires": [process, ...]}``."""
    section("all", "netem", str(int(emulators.engine_kernel_has_netem())))
    read_back([Shaping(link) for link in links.existing_links()], request["wires"])


# --- steps -----------------------------------------------------------------------------------------------------------


def _start_steps(spec: LinkSpec, link: Link) -> None:
    """Start a process that changes *link* with time, and remember it."""
    text = repr({"link": list(link), "period_s": spec.period_s, "steps": spec.steps})
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
    link, period_s = Link(*spec["link"]), spec["period_s"]
    steps = [Step(*fields) for fields in spec["steps"]]
    starts_s = [step.at_s for step in steps]
    while link.exists:
        phase_s = time.time() % period_s
        step = steps[current_step(starts_s, phase_s)]
        emulators.run([Shaping(link, step.down, step.up)])
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
