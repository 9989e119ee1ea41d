"""``flume inspect`` at a live address: what arrives is measured by the kernel's stamps, and it stops when told to."""

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from flume.inspect.live import LiveSocket, live_address
from flume.inspect.values import Inspection
from support.captures.rtp_streams import clean, without, write_pcap
from support.paths import SERVICES
from support.ports import free_port

GROUP = "239.255.77.1"
PATIENCE_S = 60.0

CLOCKS_S = 0.01
"""The clocks of two CPUs of a virtual machine may be half a millisecond apart."""


class Inspected:
    """The program, listening at *address*."""

    def __init__(self, address: str, *arguments: str) -> None:
        command = (sys.executable, "-m", "flume.cli", "inspect", address, "--json", *arguments)
        environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.port = int(address.rpartition(":")[2])

    def wait_until_it_listens(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_bound(self.port):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def end(self) -> tuple[Inspection, str, int]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return msgspec.json.decode(out, type=Inspection), err.decode(), self.process.returncode


def is_bound(port: int) -> bool:
    """Whether a UDP socket of this host has *port*."""
    tables = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
    return any(f":{port:04X} " in table.read_text() for table in tables if table.exists())


def waiting_bytes(port: int) -> int:
    """Bytes that the socket at *port* has not read yet (rx_queue of /proc/net/udp)."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}"))


def wait_until_read(port: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while waiting_bytes(port):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        yield sock


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_has_come_is_shown_when_it_is_stopped(sender: socket.socket, ending: signal.Signals):
    port = free_port()
    live = Inspected(f"udp://127.0.0.1:{port}", "--fail-if", "lost>0")
    live.wait_until_it_listens()
    for each in without(clean(), 100):
        sender.sendto(each.data, ("127.0.0.1", port))
    wait_until_read(port)
    live.process.send_signal(ending)
    inspection, err, status = live.end()
    (stream,) = inspection.streams
    assert (err, status, inspection.kind, inspection.packets) == ("", 1, "live", 299)
    assert stream.source == f"127.0.0.1:{sender.getsockname()[1]}"
    assert stream.destination == f"127.0.0.1:{port}"
    assert stream.rtp is not None
    assert [(each.kind, each.packet) for each in stream.rtp.findings] == [("loss", 101)]
    assert stream.ts is not None
    assert stream.ts.packets == 299 * 7


def test_a_group_is_joined(sender: socket.socket):
    port = free_port()
    live = Inspected(f"rtp://{GROUP}:{port}", "--interface", "127.0.0.1")
    live.wait_until_it_listens()
    for each in clean(50):
        sender.sendto(each.data, (GROUP, port))
    wait_until_read(port)
    live.process.send_signal(signal.SIGINT)
    inspection, _, status = live.end()
    assert inspection.input == f"rtp://{GROUP}:{port}"
    assert [stream.destination for stream in inspection.streams] == [f"{GROUP}:{port}"]
    assert (inspection.packets, status) == (50, 0)


def test_a_group_of_ipv6_that_is_on_every_link_is_bound_to_the_one_that_is_named():
    port, index = free_port(), socket.if_nametoindex("lo")
    with LiveSocket(live_address(f"udp://[ff02::1:2:3]:{port}"), interface="lo") as live:
        assert live._socket.getsockname() == ("ff02::1:2:3", port, 0, index)


def test_it_ends_by_itself_and_an_address_without_a_datagram_is_status_3():
    port = free_port()
    live = Inspected(f"udp://127.0.0.1:{port}", "--duration", "0.2")
    inspection, err, status = live.end()
    assert (inspection.streams, status) == ([], 3)
    assert f"flume: udp://127.0.0.1:{port}: no datagram came within 0." in err


def test_an_address_that_is_not_here_is_one_line():
    command = (sys.executable, "-m", "flume.cli", "inspect", "udp://192.0.2.1:5004")
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=False)
    assert done.returncode == 3, "1 is a passed threshold"
    why = "cannot listen at 192.0.2.1 port 5004: Cannot assign requested address"
    assert done.stderr == f"flume: udp://192.0.2.1:5004: {why}\n"


def test_what_the_kernel_had_no_room_for_is_counted_and_arrivals_have_its_stamps(sender: socket.socket):
    port = free_port()
    with LiveSocket(live_address(f"udp://127.0.0.1:{port}")) as live:
        before_s = time.time()
        sender.sendto(b"first", ("127.0.0.1", port))
        after_s = time.time()
        live._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _ in range(100):
            sender.sendto(bytes(1000), ("127.0.0.1", port))
        live.wait(PATIENCE_S)
        read = live.read()
        assert before_s - CLOCKS_S <= read[0][0] <= after_s + CLOCKS_S, "however late it is read"
        assert read[0][2] == b"first"
        assert live.dropped == 101 - len(read) > 0


def test_a_terminal_gets_a_bar_on_standard_error_and_a_pipe_none(tmp_path: Path):
    path = write_pcap(tmp_path / "tap.pcap", clean(100)).path
    command = (sys.executable, "-m", "flume.cli", "inspect", str(path), "--json")
    environment = {**os.environ, "PYTHONPATH": str(SERVICES), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=PATIENCE_S, check=True
            )
        finally:
            os.close(theirs)
        assert b"tap.pcap" in terminal.read(4096)
    assert msgspec.json.decode(done.stdout, type=Inspection).packets == 100
    piped = subprocess.run(command, capture_output=True, env=environment, timeout=PATIENCE_S, check=True)
    assert piped.stderr == b""
