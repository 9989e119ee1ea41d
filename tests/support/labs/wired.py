"""A lab whose clients' links pass through a wire, and what the tests ask the wire and its processes."""

import ast
import json
import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from flume.errors import EngineError
from flume.lab.containers.container import Output
from flume.lab.containers.engine import Container, Engine
from flume.lab.containers.probe import Probe
from flume.lab.containers.topology import Topology
from flume.lab.link.links import Links
from flume.lab.link.wires import wire_starts
from support.labs.containers import start_lab
from support.labs.netem_labs import profile

_ASK = """
import ast, socket, sys, time
answers = []
for _ in range(int(sys.argv[3])):
    began_s = time.monotonic()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(f"/proc/{sys.argv[1]}/root/run/wire/control")
        sock.sendall(sys.argv[2].encode())
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    answers.append((answer, time.monotonic() - began_s))
print(answers)
"""
"""Sends one request (a Python literal) so many times to the wire with a process; for the probe, which has no json."""

_PROCESSES = """
cd /proc
wanted=$(readlink "$0/ns/pid")
for one in [0-9]*; do
    [ "$(readlink "$one/ns/pid" 2>/dev/null)" = "$wanted" ] && echo "=== $one" && cat "$one/status"
done
true
"""
"""Writes the status of each process in the pid namespace of a process."""

_SEND = """
import json, socket, struct, sys, time
rate, seconds, *addresses = sys.argv[1:]
tick_s, payload, sent, due = 0.01, bytes(1328), 0, 0.0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.IPPROTO_UDP, 103, 1328)
    began_s = time.monotonic()
    for tick in range(round(float(seconds) / tick_s)):
        due += float(rate) * tick_s / len(addresses)
        batch = round(due) - sent
        sent += batch
        for address in addresses:
            for start in range(0, batch, 40):
                sock.sendto(payload * min(40, batch - start), (address, 9))
        time.sleep(max(0.0, began_s + (tick + 1) * tick_s - time.monotonic()))
print(sent)
"""
"""Sends datagrams of 1328 bytes to port 9 of each address: so many a second in all, for so many seconds, then ends."""


class Answer(NamedTuple):
    """The answer of a wire, and how long it took."""

    value: Mapping[str, Any]
    seconds: float


class WiredLab(NamedTuple):
    """A server, clients, a probe and a wire through which the links of all clients pass; no program of flume runs."""

    engine: Engine
    name: str
    server: Container
    clients: Sequence[Container]
    probe: Probe
    wire: Container
    lines: "queue.SimpleQueue[str]"
    """The standard output of the wire."""
    links: Links

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the wire's answer."""
        return self.ask_often(request, 1)[0].value

    def ask_often(self, request: Mapping[str, Any], times: int) -> list[Answer]:
        """Return the wire's answers to the same request, each sent after the answer to the one before."""
        command = ["python3", "-ISc", _ASK, str(self.wire.pid), repr(dict(request)), str(times)]
        text = self.probe.container.run_checked(command)
        return [Answer(ast.literal_eval(answer), seconds) for answer, seconds in ast.literal_eval(text)]

    def event(self, *, timeout_s: float = 60.0) -> Mapping[str, Any]:
        """Return the next event that the wire prints."""
        return dict(json.loads(self.lines.get(timeout=timeout_s)))

    def processes(self) -> dict[int, dict[str, str]]:
        """Return the wire's processes: process id on the host → the fields of its status."""
        text = self.probe.container.run_checked(["sh", "-c", _PROCESSES, str(self.wire.pid)])
        found = {}
        for part in text.split("=== ")[1:]:
            number, *lines = part.splitlines()
            found[int(number)] = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return found

    def kernel_processes(self) -> list[int]:
        """Return the processes of the wire's kernel; its first one, which carries the frames, first."""
        found = self.processes()
        ours = [pid for pid in found if pid != self.wire.pid]
        return sorted(ours, key=lambda pid: (int(found[pid]["PPid"]) != self.wire.pid, pid))

    def interfaces(self, container: Container) -> set[str]:
        """Return the names of the interfaces in the namespace of *container*; the probe's is the engine host's."""
        text = self.probe.enter(container.pid, ["ip", "-o", "link"])
        return {line.split(": ")[1].partition("@")[0] for line in text.splitlines()}

    def received(self) -> list[int]:
        """Return how many datagrams each client's kernel has received, whether or not a program takes them."""
        counters = self.probe.counters([one.pid for one in self.clients])
        return [_datagrams(counters[one.pid].snmp) for one in self.clients]

    def send(self, *, rate: int, seconds: float) -> int:
        """Send *rate* datagrams a second from the server, evenly to all clients; return how many went to each."""
        addresses = [one.address for one in self.clients]
        return int(self.server.run_checked(["python3", "-c", _SEND, str(rate), str(seconds), *addresses]))


def _datagrams(snmp: str) -> int:
    keys, values = (line.split()[1:] for line in snmp.splitlines() if line.startswith("Udp: "))
    counted = dict(zip(keys, map(int, values), strict=True))
    return counted["InDatagrams"] + counted["NoPorts"]


def start_wired(
    engine: Engine,
    layout: Topology,
    lab: str,
    *,
    clients: int,
    command: Callable[[Sequence[str]], Sequence[str]] = tuple,
) -> WiredLab:
    """Start a lab and plug all of its clients into a wire; their links are perfect.

    *command* makes the command of the wire's container from the usual one.
    """
    server, hosts, box = start_lab(engine, layout, lab, clients=clients)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    output = Output(on_line=lines.put, on_error=lambda _line: None)
    (start,) = wire_starts(clients)
    wire = engine.start_service(
        lab, "run-1", layout, msgspec.structs.replace(start, output=output, command=command(start.command or ()))
    )
    links = Links(Probe(box), {host.index or 0: host.pid for host in hosts}, [wire.pid])
    wired = WiredLab(engine, lab, server, hosts, Probe(box), wire, lines, links)
    ready = wired.event()
    if ready["event"] != "ready":
        raise EngineError(f"the wire is not ready: {ready}")
    links.set(profile("clean"))
    return wired
