"""Owns the sink, the C program that drains the clients' sockets, and reads what it counted."""

import mmap
import os
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import BinaryIO, Self

import msgspec

from bench import build
from bench.analysis import Arrival
from bench.values import BenchError

HEADER_BYTES = 64
_COUNTERS = struct.Struct("=8Q")
_RECORD = struct.Struct("=QQIHH")
_NO_PCR = (1 << 64) - 1
SO_MEMINFO = 55
"""asm-generic/socket.h; the module socket does not name it. Nine 32-bit words, the last is the socket's drops."""

STOP_S = 10.0
_DRAIN_S = 0.2
"""How long after the window its datagrams may lie in buffers; the sink comes round every millisecond or two."""


class SocketCount(msgspec.Struct, frozen=True):
    """What came to one socket: in all, and within the window."""

    total: int
    datagrams: int
    bytes: int
    first_ns: int
    last_ns: int
    silence_ns: int
    continuity_errors: int
    sequence_gaps: int


class Sink:
    """Drains *media* within ``with``. The first *samples* of them are looked into. Times are CLOCK_REALTIME's."""

    def __init__(self, media: Sequence[socket.socket], *, samples: int, deadline_s: float) -> None:
        """Take the sockets' descriptors, not the sockets; end by itself after *deadline_s*."""
        self._media = media
        self._samples = samples
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        length = HEADER_BYTES + len(self._media) * _COUNTERS.size
        self._records: BinaryIO = tempfile.TemporaryFile()
        self._shared = os.memfd_create("flume-bench-sink", 0)
        os.truncate(self._shared, length)
        self._map = mmap.mmap(self._shared, length)
        descriptors = [each.fileno() for each in self._media]
        options = (self._shared, self._records.fileno(), self._samples, int(self._deadline_s), *descriptors)
        self._process = subprocess.Popen(
            [str(build.program("sink")), *map(str, options)],
            pass_fds=(self._shared, self._records.fileno(), *descriptors),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._map.close()
        os.close(self._shared)
        self._records.close()

    def stop(self) -> None:
        """End the sink; what it wrote down is complete after this."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            _, complaint = process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BenchError(f"the sink did not end within {STOP_S:g} s of being asked to") from None
        if process.returncode:
            raise BenchError(f"the sink ended with {process.returncode}: {complaint.decode().strip()}")

    @property
    def pid(self) -> int:
        """The process, for its CPU time."""
        assert self._process is not None
        return self._process.pid

    def set_window(self, begin_ns: int, end_ns: int) -> None:
        """Count what arrives from *begin_ns* on and before *end_ns*."""
        self._map[8:16] = struct.pack("=Q", end_ns)
        self._map[:8] = struct.pack("=Q", begin_ns)

    def counts(self) -> list[SocketCount]:
        """Return the counters of each socket as they are now."""
        return [SocketCount(*fields) for fields in _COUNTERS.iter_unpack(self._map[HEADER_BYTES:])]

    def reached(self) -> list[bool]:
        """Return for each socket whether anything has come yet."""
        return [count.total > 0 for count in self.counts()]

    def wait_until_drained(self) -> None:
        """Give the sink the time to fetch what arrived within the window: until two looks see the same."""
        deadline_s = time.monotonic() + 10 * _DRAIN_S
        before: list[int] = []
        while time.monotonic() < deadline_s:
            now = [count.datagrams for count in self.counts()]
            if now == before:
                return
            before = now
            time.sleep(_DRAIN_S / 4)

    def records(self) -> list[list[Arrival]]:
        """Return the datagrams of each sample client within the window; only after :meth:`stop`."""
        self._records.seek(0)
        arrivals: list[list[Arrival]] = [[] for _ in range(self._samples)]
        data = self._records.read()
        for time_ns, pcr, client, length, packet in _RECORD.iter_unpack(data):
            arrivals[client].append(Arrival(time_ns, length, None if pcr == _NO_PCR else pcr, packet))
        return arrivals

    def drops(self) -> int:
        """Return how many datagrams found no room in their sockets' buffers since the sockets were opened."""
        words = struct.Struct("=9I")
        return sum(words.unpack(each.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, words.size))[8] for each in self._media)
