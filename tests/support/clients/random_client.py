"""Light clients that send random command sequences, legal or not, in one event loop.

Their datagrams are counted and not read: the capture at the server's interface is judged.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from random import Random

from support.namespaces import SERVER_ADDRESS, WirePair

COMMANDS = ("connect", "interrupt", "continue", "disconnect", "status")
REPLY_TIMEOUT_S = 10.0


def answers(media: socket.socket, data: bytes, server: tuple[str, int]) -> bool:
    """Send *data* back from *media* if *server* asks by it whether that port wants the stream, and return that."""
    asks = data[32:33] == b"!" and data[:32].isalnum()
    if asks:
        media.sendto(data, server)
    return asks


class LightClient:
    """One control connection and one media socket of client *number*."""

    def __init__(self, pair: WirePair, number: int, port: int) -> None:
        self.server = (SERVER_ADDRESS, port)
        self._control, self.media = pair.sockets(number)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.token: str | None = None
        self.datagrams = 0
        self.gone = False

    async def open(self) -> "LightClient":
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._control, self.server)
        self._reader, self._writer = await asyncio.open_connection(sock=self._control)
        loop.add_reader(self.media, self._drain)
        return self

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while data := self.media.recv(65536):
                self.datagrams += not self.proves(data)

    def proves(self, data: bytes) -> bool:
        """Send *data* back if the server asks by it whether this port wants the stream; return whether it does."""
        return answers(self.media, data, self.server)

    def write(self, *commands: str) -> None:
        """Send *commands* in one segment."""
        assert self._writer is not None
        with contextlib.suppress(ConnectionError):
            self._writer.write(b"".join(json.dumps({"command": command}).encode() + b"\n" for command in commands))

    async def reply(self) -> dict:
        """Return the next reply; ``{}`` when the server has closed."""
        assert self._reader is not None
        while not self.gone:
            try:
                raw = await asyncio.wait_for(self._reader.readline(), REPLY_TIMEOUT_S)
            except ConnectionError:
                raw = b""
            self.gone = not raw
            message = json.loads(raw) if raw else {}
            if "reply" in message:
                self.token = message.get("token", self.token)
                return message
        return {}

    async def ask(self, *commands: str) -> list[dict]:
        """Send *commands* in one segment and return their replies."""
        self.write(*commands)
        return [await self.reply() for _ in commands]

    def consent(self, text: str | None = None) -> None:
        """Send the token, or *text*, from the media socket."""
        payload = text or self.token
        if payload is not None and self.media.fileno() >= 0:
            with contextlib.suppress(ConnectionRefusedError):
                self.media.sendto(payload.encode(), self.server)

    async def connect(self) -> None:
        """Connect and consent."""
        await self.ask("connect")
        self.consent()

    async def wait_until_quiet(self) -> None:
        """Wait until nothing more arrives."""
        before = -1
        while before != (before := self.datagrams):
            await asyncio.sleep(0.05)

    def close_media(self) -> None:
        if self.media.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.media)
            self.media.close()

    async def close(self, *, reset: bool = False) -> None:
        assert self._writer is not None
        self.close_media()
        if reset:
            self._control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def hectic_pause_s(random: Random) -> float:
    """Return a pause that is often 0 and at most 0.3 s."""
    return random.choice((0.0, 0.002, random.uniform(0, 0.3), random.uniform(0, 0.3)))


async def play_random_sequence(
    pair: WirePair,
    number: int,
    port: int,
    random: Random,
    pause_s: Callable[[Random], float] = hectic_pause_s,
) -> None:
    """Open a connection, send a random sequence of commands with pauses between them, and leave in a random manner."""
    client = await LightClient(pair, number, port).open()
    manner = random.choice(("disconnect", "close", "reset", "media_first"))
    try:
        for _ in range(random.randint(4, 10)):
            await _step(client, random)
            await asyncio.sleep(pause_s(random))
        if manner == "disconnect":
            await client.ask("disconnect")
        elif manner == "media_first":  # a server that still sends is answered with ICMP port unreachable
            client.close_media()
            await asyncio.sleep(0.1)
    finally:
        await client.close(reset=manner == "reset")


async def _step(client: LightClient, random: Random) -> None:
    kind = random.random()
    if client.token is None or kind < 0.1:
        await client.ask("connect")
        if random.random() < 0.85:
            client.consent()
        else:
            client.consent("0" * 32)
    elif kind < 0.55:
        await client.ask("interrupt" if random.random() < 0.5 else "continue")
    elif kind < 0.7:
        await client.ask(*random.choices(COMMANDS, k=random.randint(2, 3)))
        client.consent()
    elif kind < 0.85:
        client.consent()
    else:
        await client.ask(random.choice(COMMANDS))
