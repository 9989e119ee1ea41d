"""Sets the qdiscs of links, and reads them back."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from probe import emulators, links, plugging, stepping, wire
from probe.commands import Command, section
from probe.emulators import Shaping


class ProfileSpec(NamedTuple):
    """What a profile makes of a link; interfaces in the commands are called LINK."""

    text: str
    """Remembered and returned as it is."""
    down: Sequence[Command]
    up: Sequence[Command]
    period_s: float
    steps: str
    """The changes within a period (:func:`probe.timing.parse_steps`)."""


class LinkSpec(NamedTuple):
    """What ``apply`` is asked for one link."""

    number: int
    pid: int
    profile: str
    """The key of its profile in the request, and in the memory."""
    follow: int
    """1: make the steps of the profile."""


def apply(request: Mapping[str, Any]) -> None:
    """Set every link of *request*, remember it, have its steps made, read it back.

    *request* is ``{"profiles": {key: ProfileSpec, ...}, "links": [LinkSpec, ...], "wires": [process, ...]}``; without
    wires the engine's kernel shapes.
    """
    specs, wires = [LinkSpec(**fields) for fields in request["links"]], request["wires"]
    profiles = {key: ProfileSpec(**fields) for key, fields in request["profiles"].items()}
    netem = emulators.engine_kernel_has_netem()
    section("all", "netem", str(int(netem)))
    if not netem and not wires:
        return  # the caller knows whether it needs one
    with links.locked():
        stepping.forget(spec.number for spec in specs)
        found = plugging.find_links([(spec.number, spec.pid) for spec in specs], wires)
        for key, profile in profiles.items():
            links.write(key, "text", profile.text)
            links.write(key, "steps", f"{profile.period_s}\n{profile.steps}")
        for spec in specs:
            links.write(spec.number, "profile", spec.profile)
        chosen = [profiles[spec.profile] for spec in specs]
        read_back([Shaping(link, one.down, one.up) for one, link in zip(chosen, found, strict=True)], wires)
        # Only now: what was read back is what was set. From here on the steps change it.
        stepping.follow_from_now_on(
            {spec.number: spec.profile for spec, one in zip(specs, chosen, strict=True) if spec.follow and one.steps}
        )


def read_back(work: Sequence[Shaping], wires: Sequence[int] = ()) -> None:
    """Run the tc commands of *work*; write the qdiscs of its links with their counters, and what is remembered of each.

    Of *wires* write how many pairs each has left. The time is that of the counters, by the clock that the taps use.
    """
    answers = emulators.run(work)
    section("all", "time", f"{time.time():.6f}")
    for (link, _, _), qdiscs in zip(work, answers, strict=True):
        subject = str(link.number)
        section(subject, "link", f"{link.pid} {link.wire}")
        section(subject, "down", qdiscs.down)
        section(subject, "up", qdiscs.up)
        section(subject, "profile", links.read(link.number, "profile"))
        section(subject, "own", links.read(link.number, "own"))
        section(subject, "steps", stepping.report(link.number))
    keys = {link: links.read(link.number, "profile") for link in links.remembered_links()}
    for link, key in keys.items():
        if key:
            section(str(link.number), "remembered", f"{link.pid} {key}")
    for key in sorted(filter(None, keys.values())):
        section(key, "text", links.read(key, "text"))
    section("all", "spare", " ".join(str(wire.spare_pairs(pid)) for pid in wires))
    section("all", "ended", " ".join(str(link.number) for link in links.remembered_links() if link.has_ended))


def read_all(request: Mapping[str, Any]) -> None:
    """Write the state of all links that exist; *request* is ``{"wires": [process, ...]}``."""
    section("all", "netem", str(int(emulators.engine_kernel_has_netem())))
    read_back([Shaping(link) for link in links.existing_links()], request["wires"])
