"""Where netem shapes a link: in the engine's own kernel, or in the kernel of a wire. Nothing above knows which.

=============  =======================================  ==============================
emulator       direction down                           direction up
=============  =======================================  ==============================
engine kernel  the host's end of the client's veth      the client's eth0
wire           vec 2 · pair, the client's side          vec 2 · pair + 1, the bridge's
=============  =======================================  ==============================
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from probe import links, wire
from probe.commands import Command, batch, entered, named, run_side_by_side
from probe.links import Link

_TC = ("tc", "-s", "-j", "-batch", "-")
_INGRESS = re.compile(r'\{"kind":"ingress"(?:[^{}]|\{[^{}]*\})*\},?')
"""Part of how a wire joins its interfaces, and not of how it shapes links."""


class Shaping(NamedTuple):
    """tc commands for the two directions of *link*; interfaces in them are called LINK."""

    link: Link
    down: Sequence[Command] = ()
    up: Sequence[Command] = ()


class Qdiscs(NamedTuple):
    """The qdiscs of one link with their counters, as ``tc -s -j qdisc show dev`` prints them."""

    down: str
    up: str


class Emulator(Protocol):
    """Something that has netem for links."""

    def run(self, work: Sequence[Shaping]) -> list[Qdiscs]:
        """Run the commands of *work*; then return the qdiscs of each link. Raises :class:`ProbeError`."""

    def change(self, work: Sequence[Shaping]) -> None:
        """Run the commands of *work*. Raises :class:`ProbeError`."""


class EngineKernel:
    """The kernel of the engine, in which both ends of a link are."""

    def run(self, work: Sequence[Shaping]) -> list[Qdiscs]:
        """Run one process in this namespace, and one in the namespace of each client, side by side."""
        down = "".join(_commands(one.down, one.link.interface) for one in work)
        ups = [([*entered(one.link.pid), *_TC], _commands(one.up, "eth0")) for one in work]
        host, *clients = run_side_by_side([(_TC, down), *ups])
        return [Qdiscs(down, up.strip()) for down, up in zip(host.splitlines(), clients, strict=True)]

    def change(self, work: Sequence[Shaping]) -> None:
        """Run one process for each namespace in which something changes."""
        down = "".join(batch(named(one.down, one.link.interface)) for one in work)
        ups = [([*entered(one.link.pid), *_TC], batch(named(one.up, "eth0"))) for one in work if one.up]
        run_side_by_side([*([(_TC, down)] if down else []), *ups])


class Wire:
    """The kernel of the wire with process *pid*."""

    def __init__(self, pid: int) -> None:
        """Shape links that are plugged into it."""
        self._pid = pid

    def run(self, work: Sequence[Shaping]) -> list[Qdiscs]:
        """Run all commands by one request."""
        lines = "".join(
            _commands(commands, f"vec{2 * one.link.pair + side}")
            for one in work
            for side, commands in enumerate((one.down, one.up))
        )
        shown = wire.ask(self._pid, {"do": "tc", "lines": lines})["output"].splitlines()
        texts = [_INGRESS.sub("", line).replace(",]", "]") for line in shown]
        return [Qdiscs(*pair) for pair in zip(texts[::2], texts[1::2], strict=True)]

    def change(self, work: Sequence[Shaping]) -> None:
        """Run all commands by one request."""
        wire.ask(self._pid, {"do": "tc", "lines": "".join(map(self._lines, work))})

    @staticmethod
    def _lines(one: Shaping) -> str:
        sides = (one.down, one.up)
        return "".join(batch(named(lines, f"vec{2 * one.link.pair + side}")) for side, lines in enumerate(sides))


def _commands(lines: Sequence[Command], interface: str) -> str:
    return batch(named([*lines, ("qdisc", "show", "dev", "LINK")], interface))


def run(work: Sequence[Shaping]) -> list[Qdiscs]:
    """Run the commands of *work*, each where its link is shaped; return the qdiscs of the links in the same order."""
    found: dict[int, Qdiscs] = {}
    for emulator, there in _emulators(work):
        found |= zip((one.link.number for one in there), emulator.run(there), strict=True)
    return [found[one.link.number] for one in work]


def change(work: Sequence[Shaping]) -> None:
    """Run the commands of *work*, each where its link is shaped."""
    for emulator, there in _emulators(work):
        emulator.change(there)


def _emulators(work: Sequence[Shaping]) -> Iterator[tuple[Emulator, list[Shaping]]]:
    for pid in dict.fromkeys(one.link.wire for one in work):
        yield Wire(pid) if pid else EngineKernel(), [one for one in work if one.link.wire == pid]


def engine_kernel_has_netem() -> bool:
    """Whether the engine's kernel has netem: tried once, in a namespace that ends with the attempt, and remembered."""
    remembered = links.read("all", "netem")
    if not remembered:
        command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "1000"]
        remembered = str(int(subprocess.run(command, capture_output=True, check=False).returncode == 0))
        links.write("all", "netem", remembered)
    return remembered == "1"
