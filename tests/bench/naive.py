"""How one writes it first: a thread for each client, one blocking socket, a lock round the table of clients.

Each thread has a clock of its own and sends, every tick, what has come due since, one datagram a call. The datagrams
are cut beforehand and shared, so that nothing but the sending is measured.

On several processors the threads fight for the interpreter's lock, and most of the time goes into that. With PINNED as
the last argument all stay on one processor, where they cannot: the best that can be made of this design.
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
        """Send the clip to *client* for ever."""
        datagrams, rate, tick_s = self._spec.datagrams, self._spec.datagrams_per_s, self._spec.tick_s
        # Clients come at different moments; threads that all wake at once would wait for each other more than need be.
        time.sleep(client / len(self._clients) * tick_s)
        begin_s = next_s = time.monotonic()
        sent = 0
        while True:
            due = int((time.monotonic() - begin_s) * rate)
            while sent < due:
                with self._lock:
                    address = self._clients[client]
                with contextlib.suppress(OSError):  # this client cannot be reached now; the stream goes on
                    self._socket.sendto(datagrams[sent % len(datagrams)], address)
                sent += 1
            next_s += tick_s
            time.sleep(max(0.0, next_s - time.monotonic()))

    def run(self) -> None:
        """Serve all clients, each on its thread."""
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
