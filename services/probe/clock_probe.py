"""The program ``clock-probe``: how far the clock of another host is ahead of this one's.

::

    clock-probe answer SECONDS COOKIE             answer questions on a free UDP port for so long
    clock-probe ask ADDRESS PORT COUNT COOKIE     ask there COUNT times, 400 times a second

COOKIE is 32 hexadecimal digits, the same for both. ``answer`` prints ``{"port": 40000}`` and returns at once; a process
of its own answers on, in no terminal and with no output, and ends by itself. A datagram without the cookie gets no
answer. ``ask`` prints one line of JSON: by how many nanoseconds the other clock is ahead, the round trip of the
exchange that says so, when that began by this host's clock, and how many answers came. Without an answer these are
null.

The probe has the network of the engine's host, so the clocks and the path are those of hosts, and no link of the lab is
in it. The times of arrival are the kernel's.
"""

import os
import re
import socket
import sys
import time
from collections.abc import Sequence

from probe.commands import ProbeError
from probe.exchanges import (
    LAYOUT,
    AnswerLimit,
    Exchange,
    answer,
    answered_untrusted,
    best,
    number_asked_untrusted,
    question,
    summary,
)
from probe.measuring import SO_TIMESTAMPNS, TIMESPEC

MOST_SECONDS = 120
MOST_QUESTIONS = 1000
STEP_NS = 2_500_000
"""From one question to the next."""
WAIT_NS = 1_000_000_000
"""For answers that are still on their way: the round trip to the far side of the Earth and back is below 0.4 s."""
_TICK_S = 0.5
_USAGE = "usage: clock-probe answer SECONDS COOKIE | ask ADDRESS PORT COUNT COOKIE"


def main(arguments: Sequence[str]) -> None:
    """Run one action; an error ends the program with one line on standard error and status 1."""
    try:
        match arguments:
            case ["answer", seconds, cookie]:
                start_answering(_number(seconds, MOST_SECONDS), _cookie(cookie))
            case ["ask", address, port, count, cookie]:
                sys.stdout.write(
                    ask(address, _number(port, 65535), _number(count, MOST_QUESTIONS), _cookie(cookie)) + "\n"
                )
            case _:
                raise ProbeError(_USAGE)
    except (ProbeError, OSError) as error:
        sys.exit(f"clock-probe: {error}")


def _number(text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise ProbeError(f"{text!r} is no number from 1 to {most}; {_USAGE}")
    return int(text)


def _cookie(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        raise ProbeError(f"a cookie of 32 hexadecimal digits is needed; {_USAGE}")
    return bytes.fromhex(text)


def start_answering(seconds: int, cookie: bytes) -> None:
    """Print the port and return; a process of its own answers there for *seconds*."""
    sock = _open_any()
    sys.stdout.write(f'{{"port": {sock.getsockname()[1]}}}\n')
    sys.stdout.flush()
    if os.fork():
        return
    os.setsid()
    # The engine waits for the end of a command's output, so this process must not hold it.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    keep_answering(sock, seconds, cookie)
    os._exit(0)


def _open_any() -> socket.socket:
    """Return a socket on a free port of all addresses: of IPv6 and IPv4, or of IPv4 where the kernel has no other."""
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
    except OSError:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return sock


def keep_answering(sock: socket.socket, seconds: float, cookie: bytes) -> None:
    """Answer the questions with *cookie* that reach *sock*, for *seconds*."""
    limit, end_ns = AnswerLimit(), time.monotonic_ns() + round(seconds * 1e9)
    while (left_ns := end_ns - time.monotonic_ns()) > 0:
        sock.settimeout(min(_TICK_S, left_ns / 1e9))
        try:
            datagram, heard, sender = _receive(sock)
            number = number_asked_untrusted(datagram, cookie)
            if number is not None and limit.allows(time.monotonic_ns()):
                sock.sendto(answer(cookie, number, heard, time.time_ns()), sender)
        except OSError:  # nothing came; or no way back to the sender, who asks again
            continue


def ask(address: str, port: int, count: int, cookie: bytes) -> str:
    """Ask *count* times, one question each :data:`STEP_NS`, and return the line that says what came of it.

    Raises :class:`ProbeError` where *address* is none, or no question can be sent there.
    """
    try:
        # Of text the resolver makes an IDNA name, by a module that the image's Python lacks.
        family, _, _, _, there = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise ProbeError(f"{address} is no address: {error}") from error
    asked: dict[int, int] = {}
    exchanges: dict[int, Exchange] = {}
    failed: OSError | None = None
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        began_ns = time.monotonic_ns()
        for number in range(count):
            try:
                asked[number] = time.time_ns()
                sock.sendto(question(cookie, number), there)
            except OSError as error:
                failed = error
            _collect(sock, cookie, asked, exchanges, until_ns=began_ns + (number + 1) * STEP_NS)
        if failed is None:
            until_ns = time.monotonic_ns() + WAIT_NS
            while len(exchanges) < count and time.monotonic_ns() < until_ns:
                _collect(sock, cookie, asked, exchanges, until_ns=time.monotonic_ns() + STEP_NS)
    if failed is not None and not exchanges:
        raise ProbeError(f"no question can be sent to {address}: {failed.strerror}")
    return summary(best(exchanges.values()), len(exchanges))


def _collect(
    sock: socket.socket, cookie: bytes, asked: dict[int, int], exchanges: dict[int, Exchange], *, until_ns: int
) -> None:
    """Note the answers that come until *until_ns*."""
    while (left_ns := until_ns - time.monotonic_ns()) > 0:
        sock.settimeout(left_ns / 1e9)
        try:
            datagram, back, _ = _receive(sock)
        except OSError:  # nothing came
            continue
        found = answered_untrusted(datagram, cookie)
        if found is not None and found[0] in asked:
            number, heard, answered = found
            exchanges.setdefault(number, Exchange(asked[number], heard, answered, back))


def _receive(sock: socket.socket) -> tuple[bytes, int, tuple[object, ...]]:
    """Return a datagram, or the beginning of one that is too long, when it arrived in ns since 1970, and its sender."""
    datagram, control, _, sender = sock.recvmsg(LAYOUT.size + 1, socket.CMSG_SPACE(TIMESPEC.size))
    for level, kind, stamp in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(stamp) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(stamp)
            return datagram, seconds * 1_000_000_000 + nanoseconds, sender
    return datagram, time.time_ns(), sender
