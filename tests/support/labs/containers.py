"""Small labs for the tests of the engine: the real services, each running a program of the test."""

from flume.lab.containers.engine import Container, Engine, Output, Start
from flume.lab.containers.topology import Topology, load
from support.paths import LAB_YAML

ECHO = """
import sys
print("ready", flush=True)
print("grumble", file=sys.stderr, flush=True)
for line in sys.stdin:
    print("got " + line.strip(), flush=True)
"""
"""Prints "ready", then each line of its input."""

WAIT = "import signal; signal.sigwait({signal.SIGTERM})"

SEND = """
import socket, struct, sys
address, count, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect((address, 5004))
    for _ in range(count // batch):
        segment = [(socket.IPPROTO_UDP, 103, struct.pack("=H", 1328))] if batch > 1 else []
        try:
            sock.sendmsg([bytes(1328 * batch)], segment)
        except ConnectionRefusedError:  # ICMP for the datagram before: that port needs no socket
            sock.sendmsg([bytes(1328 * batch)], segment)
"""
"""Sends datagrams of 1328 bytes to port 5004 of an address, in segmentation batches."""


def load_layout() -> Topology:
    """Return the topology in compose/lab.yaml."""
    return load(LAB_YAML.read_text())


def start_lab(
    engine: Engine, layout: Topology, lab: str, *, clients: int = 1, program: str = WAIT, output: Output | None = None
) -> tuple[Container, list[Container], Container]:
    """Start server, *clients* clients and probe; return them.

    Server and clients run *program* under Python; the clients' lines go to *output*.
    """
    network = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"], clients=clients)
    server, probe = (
        Start(service="server", role="server", network=network, entrypoint=("python3", "-c"), command=(program,)),
        Start(service="probe", role="probe"),
    )
    client_starts = [
        Start(
            service="client",
            role="client",
            index=index,
            network=network,
            entrypoint=("python3", "-c"),
            command=(program,),
            output=output,
        )
        for index in range(1, clients + 1)
    ]
    started = engine.start(lab, "run-1", layout, [server, *client_starts, probe])
    return started[0], started[1:-1], started[-1]


def send(container: Container, address: str, *, count: int, batch: int = 1) -> None:
    """Send *count* datagrams from *container* to *address*, *batch* at a time."""
    container.run_checked(["python3", "-c", SEND, address, str(count), str(batch)])
