"""The sender that people write first: a thread for each client, one blocking socket, a lock around the client table.

Each thread has a clock of its own. Every tick it sends the datagrams that are due, one a call. The datagrams are cut
before the start and shared, so that only sending is measured.

On several CPUs the threads compete for the interpreter's lock, which takes most of the time. With PINNED as the last
argument all threads stay on one CPU, where they cannot compete: this is the best case of the design.
"""

import contextlib
import os
import socket
import sys
import threading
import time

from bench.destinations import SendSpec, read_spec

PINNED = "pinned"


class Platform:
    """The table of clients and the socket that all threads share."""

    def __init__(self, spec: SendSpec) -> None:
        """Begin with all clients of *spec*."""
        self._spec = spec
        self._lock = threading.Lock()
        self._clients = dict(enumerate(spec.destinations))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def serve(self, client: int) -> None:
        """Send the clip to *client* until the process ends."""
        datagrams, rate, tick_s = self._spec.datagrams, self._spec.datagrams_per_s, self._spec.tick_s
        # Real clients join at different times. Threads that all wake at once wait for each other more than needed.
        time.sleep(client / len(self._clients) * tick_s)
        begin_s = next_s = time.monotonic()
        sent = 0
        while True:
            due = int((time.monotonic() - begin_s) * rate)
            while sent < due:
                with self._lock:
                    address = self._clients[client]
                with contextlib.suppress(OSError):  # this client is unreachable now; the stream continues
                    self._socket.sendto(datagrams[sent % len(datagrams)], address)
                sent += 1
            next_s += tick_s
            time.sleep(max(0.0, next_s - time.monotonic()))

    def run(self) -> None:
        """Serve each client on a thread of its own."""
        threading.stack_size(256 << 10)
        threads = [threading.Thread(target=self.serve, args=(client,), daemon=True) for client in self._clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    if sys.argv[-1] == PINNED:
        sys.argv.pop()
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    Platform(read_spec(sys.argv[1:])).run()
