"""The program ``wire LINKS``: the first process of the wire's container.

It prints one JSON line ``{"event": "ready", "links": N}`` when links can be plugged in, and one
``{"event": "ended", "reason": "…"}`` when the kernel has ended; then it ends with status 1, and the container with it.
A kernel that ends before it was ready is booted again, with a line on standard error; one that ends later is not: its
links are gone. SIGTERM ends it at once, without a line.

Control: a Unix socket, one request a connection (:mod:`wire.requests`)::

    sock.connect("/proc/PID/root/run/wire/control")      # PID: this process, seen from the engine's host
    sock.sendall(b'{"do": "status"}'); sock.shutdown(socket.SHUT_WR)
    b"".join(iter(lambda: sock.recv(65536), b""))        # {'links': 8, 'spare': 8}
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from wire import requests
from wire.kernel import MAX_LINKS, Kernel, boot, interfaces
from wire.pairs import Pairs
from wire.requests import WireError

CONTROL = "/run/wire/control"

REQUEST_S = 2.0
"""Longest silence of the other side while it sends a request or takes an answer."""

RETIRE_S = 0.5
"""How often links are looked for whose interfaces have gone."""

USER = 10002
"""This process, once it needs no capability any more. Not the kernel's user: that one may not trace or stop it."""


def main(arguments: Sequence[str]) -> None:
    """Run until the kernel ends."""
    if len(arguments) != 1 or not arguments[0].isdecimal() or not 1 <= int(arguments[0]) <= MAX_LINKS:
        sys.exit(f"usage: wire LINKS (1 to {MAX_LINKS})")
    links = int(arguments[0])
    # The first process of a container ignores signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        pairs = Pairs(links)
        sockets = [(client.fileno(), bridge.fileno()) for client, bridge in pairs.all]
        kernel = boot(sockets, say=_log)
        control = _listen()
    except (WireError, OSError) as error:
        _end(str(error))
    _drop_privileges()
    threading.Thread(target=_serve, args=(control, pairs, kernel), name="control", daemon=True).start()
    threading.Thread(target=_retire, args=(pairs, kernel), name="retire", daemon=True).start()
    _say(requests.event("ready", links=links))
    _end(kernel.wait())


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _log(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def _end(reason: str) -> None:
    """End at once with all processes of the container: the kernel's helpers do not end with the kernel."""
    _say(requests.event("ended", reason=requests.one_line(reason)))
    os._exit(1)


def _listen() -> socket.socket:
    """Return the listening control socket. Only root can connect."""
    os.makedirs(os.path.dirname(CONTROL), mode=0o755, exist_ok=True)
    control = socket.socket(socket.AF_UNIX)
    control.bind(CONTROL)
    os.chmod(CONTROL, 0o600)
    control.listen(64)
    return control


def _drop_privileges() -> None:
    """Become an unprivileged user: sockets that are open can be bound without a capability."""
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)


def _retire(pairs: Pairs, kernel: Kernel) -> None:
    """Look for links whose interfaces have gone, again and again, and close them in the kernel."""
    while True:
        time.sleep(RETIRE_S)
        if gone := pairs.retire():
            with suppress(WireError):  # it stands still: the next request says so
                kernel.mailbox.close(name for pair in gone for name in interfaces(pair))


def _serve(control: socket.socket, pairs: Pairs, kernel: Kernel) -> None:
    """Answer each connection in a thread of its own: one that says nothing must not keep the others waiting."""
    while True:
        connection, _ = control.accept()
        threading.Thread(target=_answer, args=(connection, pairs, kernel), daemon=True).start()


def _answer(connection: socket.socket, pairs: Pairs, kernel: Kernel) -> None:
    with connection, suppress(OSError):  # the other side has gone
        connection.settimeout(REQUEST_S)
        try:
            answer = _act(requests.parse(_received(connection)), pairs, kernel)
        except WireError as error:
            answer = {"error": str(error)}
        connection.sendall(repr(answer).encode())


def _received(connection: socket.socket) -> bytes:
    data = bytearray()
    while part := connection.recv(65536):
        data += part
        if len(data) > requests.MAX_BYTES:
            raise WireError(f"a request has at most {requests.MAX_BYTES} bytes")
    return bytes(data)


def _act(request: requests.Request, pairs: Pairs, kernel: Kernel) -> dict[str, int | str]:
    match request:
        case requests.Plug(client, bridge):
            return {"pair": pairs.plug(client, bridge)}
        case requests.Tc(lines):
            return {"output": kernel.mailbox.tc(lines)}
        case requests.Status():
            return {"links": len(pairs.all), "spare": pairs.spare}
