"""Measures how soon flume's server stops and starts again on a client's command, and whether the promise holds."""

import random
import socket
import struct
import time
from collections.abc import Callable, Sequence

import msgspec

from bench.clips import GOP_S
from bench.measure import CellSetup
from bench.network import SAMPLE_CLIENTS, BenchNetwork
from bench.pictures import Datagram, continuity_errors, first_picture
from bench.senders import Sender
from bench.values import BenchError, Cell
from flume.linux import SO_TIMESTAMPNS
from support.clients.wire_client import WireClient

JOIN_ROUNDS, QUICK_ROUNDS = 3, 8
QUICK_S = 0.06
"""How long a client receives between two interruptions in the quick rounds."""

AFTER_S = 0.15
"""How long to wait for datagrams that must not arrive."""

INTERRUPTED_S = GOP_S + 0.3
"""Longer than a group of pictures: the client can then start only at a new keyframe."""

WATCHED_S = 0.3
PICTURE_TIMEOUT_S = 3.0
_TIMESPEC = struct.Struct("=qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)


class Acknowledged(msgspec.Struct, frozen=True):
    """One interruption. Times count from the moment at which the command had been written."""

    reply_ms: float
    last_datagram_ms: float
    """Negative if no datagram arrived after the command."""
    datagrams_after_reply: int


class Joined(msgspec.Struct, frozen=True):
    """One ``continue``. Times count from the moment at which the command had been written."""

    reply_ms: float
    first_datagram_ms: float
    first_picture_ms: float
    begins_with_keyframe: bool
    continuity_errors: int


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """All interruptions and continues of the sample clients, while the rest of *clients* kept receiving."""

    clients: int
    tick_ms: float
    acknowledged: list[Acknowledged]
    joined: list[Joined]
    failure: str | None = None


def steer(network: BenchNetwork, sender: Sender, cell: Cell, *, join_rounds: int = JOIN_ROUNDS) -> Steering:
    """Interrupt and continue the sample clients of *cell* in turn; all other clients keep receiving."""
    acknowledged: list[Acknowledged] = []
    joined: list[Joined] = []
    failure = None
    try:
        with CellSetup(network, sender, cell) as setup:
            assert setup.sessions is not None
            sampled = setup.sessions.clients[:SAMPLE_CLIENTS]
            setup.wait(time.time_ns() + 1_000_000_000)
            for _ in range(QUICK_ROUNDS):
                _quick_round(setup, sampled, acknowledged)
            for _ in range(join_rounds):
                _join_round(setup, sampled, acknowledged, joined)
    except (BenchError, OSError, AssertionError) as error:
        failure = str(error) or repr(error)
    return Steering(
        clients=cell.clients, tick_ms=cell.tick_ms, acknowledged=acknowledged, joined=joined, failure=failure
    )


def _quick_round(setup: CellSetup, sampled: Sequence[WireClient], acknowledged: list[Acknowledged]) -> None:
    acknowledged += _interrupt_each(setup, sampled)
    for client in sampled:
        _ask(client, "continue")
    setup.wait(time.time_ns() + round(QUICK_S * 1e9))


def _join_round(
    setup: CellSetup, sampled: Sequence[WireClient], acknowledged: list[Acknowledged], joined: list[Joined]
) -> None:
    acknowledged += _interrupt_each(setup, sampled)
    setup.wait(time.time_ns() + round(INTERRUPTED_S * 1e9))
    for client in sampled:
        _rest(setup)
        joined.append(_join(client))
        setup.tend()


def _interrupt_each(setup: CellSetup, sampled: Sequence[WireClient]) -> list[Acknowledged]:
    times = []
    for client in sampled:
        _rest(setup)
        receive(client.media)
        written_ns, read_ns = _ask(client, "interrupt")
        times.append((written_ns, read_ns))
    setup.wait(time.time_ns() + round(AFTER_S * 1e9))
    return [_judge(receive(client.media), *pair) for client, pair in zip(sampled, times, strict=True)]


def _rest(setup: CellSetup) -> None:
    """Wait a random part of a tick. The server replies on ticks; without the wait all commands would follow a tick."""
    setup.wait(time.time_ns() + random.randrange(round(setup.cell.tick_ms * 1e6)))


def _ask(client: WireClient, command: str) -> tuple[int, int]:
    """Send *command* and return when it had been written and when its reply had been read, ns of CLOCK_REALTIME."""
    client.send_raw(b'{"command":"%s"}\n' % command.encode())
    written_ns = time.time_ns()
    reply = client.reply()
    read_ns = time.time_ns()
    if reply.get("reply") != command:
        raise BenchError(f"the server answered {command} with {reply or 'the end of the connection'}")
    return written_ns, read_ns


def _judge(datagrams: Sequence[Datagram], written_ns: int, read_ns: int) -> Acknowledged:
    last_ns = max((each.time_ns for each in datagrams), default=written_ns)
    after = sum(each.time_ns > read_ns for each in datagrams)
    return Acknowledged((read_ns - written_ns) / 1e6, (last_ns - written_ns) / 1e6, after)


def _join(client: WireClient) -> Joined:
    receive(client.media)
    written_ns, read_ns = _ask(client, "continue")
    datagrams: list[Datagram] = []
    _receive_until(client, datagrams, lambda: first_picture(datagrams) is not None, timeout_s=PICTURE_TIMEOUT_S)
    picture = first_picture(datagrams)
    if picture is None:
        raise BenchError(f"no picture within {PICTURE_TIMEOUT_S:g} s of continue, in {len(datagrams)} datagrams")
    end_s = time.monotonic() + WATCHED_S
    _receive_until(client, datagrams, lambda: time.monotonic() > end_s, timeout_s=WATCHED_S)
    return Joined(
        (read_ns - written_ns) / 1e6,
        (datagrams[0].time_ns - written_ns) / 1e6,
        (picture.time_ns - written_ns) / 1e6,
        picture.keyframe,
        continuity_errors(datagrams),
    )


def _receive_until(
    client: WireClient, into: list[Datagram], condition: Callable[[], bool], *, timeout_s: float
) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:
        into += receive(client.media)
        time.sleep(0.005)


def receive(media: socket.socket) -> list[Datagram]:
    """Read all datagrams from *media* without waiting, each with the kernel's time of arrival."""
    datagrams: list[Datagram] = []
    while True:
        try:
            data, ancillary, _, _ = media.recvmsg(2048, _ANCILLARY_BYTES)
        except BlockingIOError:
            return datagrams
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                datagrams.append(Datagram(seconds * 1_000_000_000 + nanoseconds, data))
