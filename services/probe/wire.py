"""Asks a wire's control socket. The wire is the container whose kernel shapes links; its program is services/wire."""

import ast
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from probe.commands import ProbeError

CONTROL = "/proc/{}/root/run/wire/control"
"""In the wire's own file system, reached through its process."""
READY_S = 60.0
"""Until a wire that is just starting serves its socket: 2 s on an idle computer."""
TIMEOUT_S = 30.0
"""Longer than the wire's own deadline for a request, so that its message arrives and not this one."""


def ask(pid: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of the wire with process *pid* to *request*; one connection is one request.

    Raises :class:`ProbeError` with the wire's own message, or if it does not answer.
    """
    try:
        with _connect(pid) as connection:
            connection.sendall(repr(request).encode())
            connection.shutdown(socket.SHUT_WR)
            received = bytearray()
            while part := connection.recv(1 << 16):
                received += part
        answer: Mapping[str, Any] = ast.literal_eval(received.decode())
    except (OSError, SyntaxError, ValueError) as error:
        why = f"does not answer ({error})" if os.path.exists(f"/proc/{pid}") else "has ended"
        raise ProbeError(f"the wire {why}: start the lab again (make lab)") from error
    if "error" in answer:
        raise ProbeError(f"the wire: {answer['error']}")
    return answer


def _connect(pid: int) -> socket.socket:
    """Return a connection to the wire, when it is ready. Raises :class:`OSError` if it ended or took too long."""
    deadline_s = time.monotonic() + READY_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(CONTROL.format(pid))
        except OSError:
            connection.close()
            if not os.path.exists(f"/proc/{pid}") or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return connection


def spare_pairs(pid: int) -> int:
    """Return how many links can still be plugged into the wire with process *pid*."""
    return int(ask(pid, {"do": "status"})["spare"])
