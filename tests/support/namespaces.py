"""Two network namespaces joined by a veth pair: a link that the firewall of this machine does not touch."""

import contextlib
import ctypes
import ipaddress
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from flume.linux import SO_RCVBUFFORCE
from support.privileges import need_root

CLONE_NEWNET = 0x40000000
QUIET_S = 0.2
SERVER_ADDRESS = "198.18.0.2"
_libc = ctypes.CDLL(None, use_errno=True)


def enter(name: str) -> None:
    """Let this thread belong to namespace *name*, and the sockets that it opens from now on."""
    with Path("/run/netns", name).open("rb") as there:
        _enter(there.fileno())


def client_address(number: int) -> str:
    """The address of client *number*, from 0."""
    return str(ipaddress.ip_address("198.18.0.10") + number)


def _run(*arguments: str, text: str = "") -> None:
    subprocess.run(arguments, check=True, capture_output=True, timeout=20, input=text.encode())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class WirePair:
    """Server and client namespace; *clients* addresses on the client's end. Use ``with``; needs root."""

    _made = 0

    def __init__(self, *, clients: int, segmentation: bool = False, stem: str = "flume-test") -> None:
        WirePair._made += 1
        self._stem = f"{stem}-{os.getpid()}-{WirePair._made}"
        self.server, self.client = f"{self._stem}-s", f"{self._stem}-c"
        self._clients = clients
        self.segmentation = segmentation

    def __enter__(self) -> Self:
        need_root("network namespaces")
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        self._join()
        _run("ip", "-n", self.server, "addr", "add", f"{SERVER_ADDRESS}/15", "dev", "eth0")
        adding = [f"addr add {client_address(number)}/15 dev eth0\n" for number in range(self._clients)]
        _run("ip", "-n", self.client, "-batch", "-", text="".join(adding))
        for name in (self.server, self.client):
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        if not self.segmentation:  # as in the lab: the wire carries single datagrams
            _run(
                *self.inside(
                    self.server, "ethtool", "-K", "eth0", "tx-udp-segmentation", "off", "gso", "off", "tso", "off"
                )
            )

    def _join(self) -> None:
        """Make both namespaces and the wire between them, which has no addresses yet."""
        for name in (self.server, self.client):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        ends = ("eth0", "netns", self.server, "type", "veth", "peer", "name", "eth0", "netns", self.client)
        _run("ip", "link", "add", *ends)

    def __exit__(self, *_: object) -> None:
        for name in (self.server, self.client):
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True, timeout=20)

    @staticmethod
    def inside(name: str, *arguments: str) -> list[str]:
        """Return the command line that runs *arguments* in namespace *name*."""
        return ["ip", "netns", "exec", name, *arguments]

    @contextlib.contextmanager
    def as_client(self) -> Iterator[None]:
        """Within the block, sockets that this thread opens belong to the client's namespace."""
        with Path("/proc/thread-self/ns/net").open("rb") as home, Path("/run/netns", self.client).open("rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def sockets(self, number: int) -> tuple[socket.socket, socket.socket]:
        """Return an unconnected TCP socket and a UDP socket of client *number*, with a large buffer, non-blocking."""
        with self.as_client():
            control = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        control.bind((client_address(number), 0))
        media.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        media.bind((client_address(number), 0))
        control.setblocking(False)
        media.setblocking(False)
        return control, media


class Tcpdump:
    """A capture in a namespace that listens before the body of ``with`` begins; :attr:`log` is complete after it."""

    def __init__(self, pair: WirePair, name: str, path: Path, *, interface: str = "eth0") -> None:
        # In immediate mode each slot of the ring has the snapshot length: 16 MiB hold 7000 packets at this length and
        # 256 at the default, which overflows on a busy machine. A batch needs the whole 64 KiB.
        length = "65600" if pair.segmentation else "2048"
        options = f"-i {interface} -n -U --immediate-mode -B 32768 -s {length} -Z root -w".split()
        self.path = path
        self.log = ""
        self._arguments = pair.inside(name, "tcpdump", *options, str(path))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._arguments, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log += line
            if "listening on" in line:
                return self
        self._process.wait()
        raise AssertionError(f"tcpdump did not start: {self.log}")

    def __exit__(self, *_: object) -> None:
        # SIGINT loses the packets that are still in the ring: stop only when the file no longer grows.
        size = -1
        while size != (size := self.path.stat().st_size):
            time.sleep(QUIET_S)
        self._process.send_signal(signal.SIGINT)
        self.log += self._process.communicate(timeout=20)[1]
