"""A client that sends random commands for ever and checks every datagram against its windows."""

import asyncio
import contextlib
import json
import struct
import time
from collections import Counter
from random import Random
from typing import Any

from soak.windows import WindowCheck
from support.clients.random_client import REPLY_TIMEOUT_S, LightClient
from support.namespaces import WirePair

TOKEN_S = 2.0
CLOCK_KHZ = 90

PAUSE_S = 3.0
"""Mean time between two commands of a client."""

_RTP = struct.Struct("!BBHI")


class Until:
    """An end that may come sooner: what waits for it is woken then."""

    def __init__(self, end_s: float) -> None:
        """End at *end_s* (monotonic)."""
        self.end_s = end_s
        self._ended = asyncio.Event()

    def end_now(self) -> None:
        """End at once."""
        self._ended.set()

    @property
    def over(self) -> bool:
        """Whether the end has come."""
        return self._ended.is_set() or time.monotonic() >= self.end_s

    async def sleep(self, seconds: float) -> None:
        """Sleep for *seconds*, or until the end."""
        left_s = min(seconds, self.end_s - time.monotonic())
        if left_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), left_s)


class SoakClient(LightClient):
    """One connection of client *number*, with one session after another."""

    def __init__(self, pair: WirePair, number: int, port: int, counts: Counter[str]) -> None:
        """Count in *counts*: ``datagrams``, ``leaked``, ``commands``, ``sessions`` and how each session ended."""
        super().__init__(pair, number, port)
        self._counts = counts
        self._check = WindowCheck()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.state = "closed"
        self._clock: tuple[float, int] | None = None
        self._ahead_ms = 0.0
        self._most_ahead_ms: float | None = None

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while data := self.media.recv(65536):
                if self.proves(data):
                    continue
                _, _, number, timestamp = _RTP.unpack_from(data)
                self._check.take(number)
                self._follow(time.monotonic(), timestamp)

    def _follow(self, now_s: float, timestamp: int) -> None:
        before_s, before = self._clock or (now_s, timestamp)
        ticks = (timestamp - before + (1 << 31)) % (1 << 32) - (1 << 31)  # 32 bits, which wrap after 13 hours
        self._ahead_ms += ticks / CLOCK_KHZ - (now_s - before_s) * 1000
        if self._most_ahead_ms is None or self._ahead_ms > self._most_ahead_ms:
            self._most_ahead_ms = self._ahead_ms
        self._clock = now_s, timestamp

    def take_ahead_ms(self) -> float | None:
        """Return how far the stream was ahead of the clock since the last call; ``None``: no datagram came.

        It counts from the first datagram. The earliest one decides, because others wait for a busy host.
        """
        most, self._most_ahead_ms = self._most_ahead_ms, None
        return most

    async def listen(self) -> None:
        """Take the server's messages until the connection ends."""
        assert self._reader is not None
        with contextlib.suppress(ConnectionError):
            while raw := await self._reader.readline():
                self._take(json.loads(raw))
        self._end_session("connection")
        self.gone = True
        self._answers.put_nowait({})

    def _take(self, message: dict[str, Any]) -> None:
        kind = message.get("reply") or message.get("event")
        self.state = message.get("state", self.state)
        if kind in {"active", "continue"} and message["state"] == "active":
            self._check.open(message["first_sequence"])
        elif kind in {"interrupt", "disconnect"}:
            self._check.close(message["last_sequence"])
            if kind == "disconnect":
                self._end_session("disconnect")
        elif kind == "closed":
            self._check.close(message.get("last_sequence"))
            self._end_session(message["code"])
        elif kind == "connect":
            self.token = message["token"]
            self._counts["sessions"] += 1
        elif kind == "notice" and message["code"] == "token_late":
            self.consent()
        if "reply" in message:
            self._answers.put_nowait(message)

    def _end_session(self, how: str) -> None:
        if self.token is not None:
            self._counts[f"ended: {how}"] += 1
        self.token = None
        self._drain()
        self._check.end()
        self._counts["datagrams"] += self._check.received
        self._counts["leaked"] += self._check.leaked
        self._check = WindowCheck()

    def unanswered(self) -> None:
        """Count a command that got no reply in time."""
        self._counts["unanswered"] += 1

    async def open(self) -> "SoakClient":
        """Open the connection; raises :class:`OSError`, and has closed its sockets then."""
        try:
            await super().open()
        except OSError:
            self._control.close()
            self.media.close()
            raise
        return self

    async def command(self, name: str) -> dict[str, Any]:
        """Send the command *name* and return the reply; ``{}`` if the server has closed the connection."""
        self.write(name)
        self._counts["commands"] += 1
        return await asyncio.wait_for(self._answers.get(), REPLY_TIMEOUT_S)


async def consent_always(client: SoakClient) -> None:
    """Send the token of *client* at its interval."""
    while not client.gone:
        client.consent()
        await asyncio.sleep(0.25 if client.state == "connecting" else TOKEN_S)


async def live(client: SoakClient, random: Random, *, until: Until, life_s: float) -> None:
    """Send random commands, legal or not, for *life_s* or until *until*; then disconnect."""
    life = Until(min(until.end_s, time.monotonic() + life_s))
    await client.open()
    tasks = [asyncio.create_task(client.listen()), asyncio.create_task(consent_always(client))]
    try:
        while not until.over and not life.over and not client.gone:
            usual = {"closed": "connect", "active": "interrupt", "interrupted": "continue", "connecting": "status"}
            others = ("status", "connect", "interrupt", "continue", "disconnect")
            await client.command(usual[client.state] if random.random() < 0.8 else random.choice(others))
            await until.sleep(min(random.expovariate(1 / PAUSE_S), life.end_s - time.monotonic()))
        if not client.gone and client.state != "closed":
            await client.command("disconnect")
    except TimeoutError:
        client.unanswered()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close(reset=random.random() < 0.2)
