"""Owns the sink, the C program that drains the clients' sockets, and reads its counters."""

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
from flume.linux import SO_MEMINFO

HEADER_BYTES = 64
_COUNTERS = struct.Struct("=8Q")
_RECORD = struct.Struct("=QQIHH")
_NO_PCR = (1 << 64) - 1
STOP_S = 10.0
_DRAIN_S = 0.2
"""How long datagrams may stay in buffers after the window. The sink empties each buffer every 1 to 2 ms."""


class SocketCount(msgspec.Struct, frozen=True):
    """What arrived at one socket: in all, and within the window."""

    total: int
    datagrams: int
    bytes: int
    first_ns: int
    last_ns: int
    silence_ns: int
    continuity_errors: int
    sequence_gaps: int


class Sink:
    """Drains *media* within ``with``; reads the content of the first *samples*. Times are those of CLOCK_REALTIME."""

    def __init__(self, media: Sequence[socket.socket], *, samples: int, deadline_s: float) -> None:
        """Start nothing; ``with`` starts the program with the sockets' descriptors. It ends after *deadline_s*."""
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
        """End the sink; its records are complete after this."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            _, complaint = process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BenchError(f"the sink did not end within {STOP_S:g} s after SIGTERM") from None
        if process.returncode:
            raise BenchError(f"the sink ended with {process.returncode}: {complaint.decode().strip()}")

    @property
    def pid(self) -> int:
        """The PID, to read its CPU time."""
        assert self._process is not None
        return self._process.pid

    def set_window(self, begin_ns: int, end_ns: int) -> None:
        """Count datagrams that arrive at or after *begin_ns* and before *end_ns*."""
        self._map[8:16] = struct.pack("=Q", end_ns)
        self._map[:8] = struct.pack("=Q", begin_ns)

    def counts(self) -> list[SocketCount]:
        """Return the present counters of each socket."""
        return [SocketCount(*fields) for fields in _COUNTERS.iter_unpack(self._map[HEADER_BYTES:])]

    def reached(self) -> list[bool]:
        """Report for each socket whether a datagram has arrived yet."""
        return [count.total > 0 for count in self.counts()]

    def wait_until_drained(self) -> None:
        """Wait until the sink has read all datagrams of the window: until two polls see the same counters."""
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
        """Return how many datagrams the sockets' full buffers have dropped since the sockets were opened."""
        words = struct.Struct("=9I")
        return sum(words.unpack(each.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, words.size))[8] for each in self._media)
