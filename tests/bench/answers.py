"""Measures how soon flume's server answers commands while many sessions are connected and some of them receive."""

import contextlib
import heapq
import json
import os
import random
import select
import time
from collections.abc import Iterator, Sequence

import msgspec

from bench.measure import CellSetup, clip_of
from bench.network import BenchNetwork
from bench.process import machine_busy_s, usage
from bench.senders import Sender
from bench.sink import Sink
from bench.values import TS_BYTES, BenchError, Cell
from flume.settings import TOKEN_INTERVAL_S
from support.clients.wire_client import WireClient

COMMANDS = ("connect", "interrupt", "continue", "disconnect", "status")
COMMANDS_PER_S = 200.0
"""Of all clients together, at random times: a client of a thousand sends one each five seconds."""

SECONDS = 20.0
STATUS_SHARE, DISCONNECT_SHARE = 0.25, 0.4
"""Shares of the commands that are ``status``, and of those that end a delivery that are ``disconnect``."""

ANSWER_S = 10.0
"""A command that is not answered by then ends the measurement."""

SETTLE_S = 1.0


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How long each command took from the moment at which it had been written to its reply."""

    clients: int
    active: int
    rate_mbit: int
    seconds: float = 0.0
    replies_ms: dict[str, list[float]] = {}
    """By command, in ascending order."""
    joined_s: float = 0.0
    """From the start of the server until all clients were connected and received."""
    cores: float = 0.0
    """The server's, while the commands came."""
    memory_mib: float = 0.0
    clients_cores: float = 0.0
    """What the bench used: its commands, and the sink that reads the datagrams."""
    other_load_cores: float = 0.0
    """Cores of this host that neither the server nor the bench used. With other load, replies wait for a CPU."""
    delivered_share: float = 0.0
    """Datagrams at the clients ÷ what the clip's rate makes for those that are active. It is above 1, because a client
    that joins also gets what was sent since the last keyframe."""
    left_active: int = 0
    """Clients that receive at the end."""
    failure: str | None = None


class Talk:
    """Sends commands on connections whose clients are all active at first, and measures the replies.

    It never waits for a single reply, so a slow one does not delay the next command.
    """

    def __init__(self, clients: Sequence[WireClient], *, active: int) -> None:
        """Take over *clients*; *active* of them will receive at any time."""
        self._clients, self._wanted = clients, active
        self._random = random.Random(1)
        self._state = ["active"] * len(clients)
        self._pending: dict[int, tuple[str, float]] = {}
        self._unread = [b""] * len(clients)
        self._poll = select.epoll()
        for client in clients:
            client.control.setblocking(False)
            self._poll.register(client.control.fileno(), select.EPOLLIN)
        self._numbers = {client.control.fileno(): number for number, client in enumerate(clients)}
        now_s = time.monotonic()
        # Spread over the interval, as those of clients that have come at different times.
        self._tokens = [(now_s + TOKEN_INTERVAL_S * n / len(clients), n) for n in range(len(clients))]
        self.replies_ms: dict[str, list[float]] = {command: [] for command in COMMANDS}

    def close(self) -> None:
        """Close what it has opened; the clients stay open."""
        self._poll.close()

    @property
    def active(self) -> list[int]:
        """The clients that receive, or will at the reply to their command."""
        return [number for number, state in enumerate(self._state) if state in {"active", "connecting"}]

    def interrupt_others(self) -> None:
        """Interrupt clients at random until as many receive as are wanted; these replies are not measured."""
        for number in self._random.sample(range(len(self._clients)), len(self._clients) - self._wanted):
            self._send(number, "interrupt")
        while self._pending:
            self._turn(time.monotonic() + 0.1)
        for times in self.replies_ms.values():
            times.clear()

    def run(self, seconds: float, per_s: float) -> None:
        """Send *per_s* commands a second for *seconds*, then wait for the last reply. Raises :class:`BenchError`."""
        due_s = time.monotonic()
        end_s = due_s + seconds
        while (now_s := time.monotonic()) < end_s:
            while due_s <= now_s:
                self._send(*self._choose())
                due_s += self._random.expovariate(per_s)
            self._turn(min(due_s, end_s))
        while self._pending:
            self._turn(time.monotonic() + 0.1)

    def settle(self) -> int:
        """Wait until clients that are about to receive do, 2 s at most; return how many receive."""
        until_s = time.monotonic() + 2.0
        while "connecting" in self._state and time.monotonic() < until_s:
            self._turn(time.monotonic() + 0.1)
        return self._state.count("active")

    def _choose(self) -> tuple[int, str]:
        """Return a client and its next command, so that the number of active ones stays."""
        free = [number for number in range(len(self._clients)) if number not in self._pending]
        if self._random.random() < STATUS_SHARE:
            return self._random.choice(free), "status"
        if len(self.active) >= self._wanted:
            command = "disconnect" if self._random.random() < DISCONNECT_SHARE else "interrupt"
        else:
            command = "connect" if any(self._state[number] == "closed" for number in free) else "continue"
        state = {"connect": "closed", "continue": "interrupted"}.get(command, "active")
        return self._random.choice([number for number in free if self._state[number] == state]), command

    def _send(self, number: int, command: str) -> None:
        self._clients[number].control.send(b'{"command":"%s"}\n' % command.encode())
        self._pending[number] = command, time.monotonic()
        if command in {"connect", "continue"}:
            self._state[number] = "connecting"
        elif command != "status":
            self._state[number] = "ending"

    def _turn(self, until_s: float) -> None:
        """Send the tokens that are due, and read what comes until *until_s*."""
        now_s = time.monotonic()
        while self._tokens[0][0] <= now_s:
            _, number = heapq.heappop(self._tokens)
            self._send_token(number)
            heapq.heappush(self._tokens, (now_s + TOKEN_INTERVAL_S, number))
        left_s = max(0.0, min(until_s, self._tokens[0][0]) - now_s)
        for descriptor, _ in self._poll.poll(left_s):
            self._read(self._numbers[descriptor])
        overdue = [command for command, written_s in self._pending.values() if now_s - written_s > ANSWER_S]
        if overdue:
            raise BenchError(f"{len(overdue)} commands were not answered within {ANSWER_S:g} s: {overdue[0]}")

    def _send_token(self, number: int) -> None:
        if self._state[number] != "closed":
            with contextlib.suppress(BlockingIOError):
                self._clients[number].send_token()

    def _read(self, number: int) -> None:
        data = self._clients[number].control.recv(65536)
        read_s = time.monotonic()
        if not data:
            raise BenchError(f"the server closed the connection of client {number}")
        *lines, self._unread[number] = (self._unread[number] + data).split(b"\n")
        for line in lines:
            self._take(number, json.loads(line), read_s)

    def _take(self, number: int, message: dict[str, object], read_s: float) -> None:
        if message.get("event") == "closed" or message.get("reply") == "error":
            raise BenchError(f"the server sent client {number} {message}")
        if message.get("event") == "active":
            self._state[number] = "active"
        if "reply" not in message:
            return
        command, written_s = self._pending.pop(number)
        if message["reply"] != command:
            raise BenchError(f"the server answered {command} with {message}")
        self.replies_ms[command].append((read_s - written_s) * 1000)
        if command == "connect":
            self._clients[number].token = str(message["token"])
            self._send_token(number)
        elif command != "status":
            self._state[number] = str(message["state"])


def measure_answers(
    network: BenchNetwork,
    sender: Sender,
    cell: Cell,
    *,
    active: int,
    seconds: float = SECONDS,
    per_s: float = COMMANDS_PER_S,
) -> Answers:
    """Connect the clients of *cell*, of which *active* receive at any time, and measure the replies to commands."""
    known = Answers(clients=cell.clients, active=active, rate_mbit=cell.rate_mbit)
    try:
        return _measure(network, sender, cell, known, seconds=seconds, per_s=per_s)
    except (BenchError, OSError, AssertionError) as error:
        return msgspec.structs.replace(known, failure=str(error) or repr(error))


def _measure(
    network: BenchNetwork, sender: Sender, cell: Cell, known: Answers, *, seconds: float, per_s: float
) -> Answers:
    began_s = time.monotonic()
    with CellSetup(network, sender, cell) as setup:
        assert setup.sessions is not None
        joined_s = time.monotonic() - began_s
        with (
            Sink(setup.media, samples=0, deadline_s=seconds + 40) as sink,
            _talk(setup.sessions.clients, known.active) as talk,
        ):
            talk.interrupt_others()
            talk.run(SETTLE_S, per_s)
            for times in talk.replies_ms.values():
                times.clear()
            before, ours_before_ns, busy_before_s = usage(setup.process.pid), _ours_ns(sink), machine_busy_s()
            sink.set_window(begin_ns := time.time_ns(), begin_ns + round(seconds * 1e9))
            talk.run(seconds, per_s)
            after, ours_ns = usage(setup.process.pid), _ours_ns(sink) - ours_before_ns
            busy_ns = (machine_busy_s() - busy_before_s) * 1e9
            setup.process.require_alive()
            left_active = talk.settle()
            sink.wait_until_drained()
            datagrams = sum(count.datagrams for count in sink.counts())
    lasted_ns = after.time_ns - before.time_ns
    cpu_ns = after.cpu_ns - before.cpu_ns
    due = clip_of(cell.rate_mbit).bytes_per_s / TS_BYTES * known.active * seconds
    return msgspec.structs.replace(
        known,
        seconds=seconds,
        replies_ms={command: sorted(times) for command, times in talk.replies_ms.items()},
        joined_s=joined_s,
        cores=cpu_ns / lasted_ns,
        memory_mib=after.rss_bytes / 2**20,
        clients_cores=ours_ns / lasted_ns,
        other_load_cores=max(0.0, (busy_ns - cpu_ns - ours_ns) / lasted_ns),
        delivered_share=datagrams / due,
        left_active=left_active,
    )


@contextlib.contextmanager
def _talk(clients: Sequence[WireClient], active: int) -> Iterator[Talk]:
    talk = Talk(clients, active=active)
    try:
        yield talk
    finally:
        talk.close()


def _ours_ns(sink: Sink) -> int:
    return usage(sink.pid).cpu_ns + usage(os.getpid(), alone=True).cpu_ns
