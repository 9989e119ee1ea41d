"""Requests and packets of RTSP come by the same paced input as lines: read no faster than they are taken."""

import asyncio
from typing import Any

import pytest

from flume.control.rtsp.messages import MAX_BODY_BYTES, MAX_HEAD_BYTES, Fault, Item, MessageBuffer, Packet, Request
from flume.server.fronts.paced_input import READ_BYTES, ExcessError
from support.async_tests import run
from support.clients.rtsp_reading import packet, request
from support.servers.paced_connection import PacedConnection

OPTIONS = request("OPTIONS", "*", 1)


class Connection(PacedConnection[Item]):
    def __init__(self, **settings: Any) -> None:
        super().__init__(MessageBuffer(), **settings)


@run
async def test_requests_and_packets_come_in_their_order():
    connection = Connection()
    connection.receive(b"\r\n" + OPTIONS + packet(1, b"") + OPTIONS[:20])
    first, second = [await connection.input.next_item(1) for _ in range(2)]
    assert isinstance(first, Request)
    assert second == Packet(1, b""), "an empty packet is an item all the same"
    waiting = asyncio.ensure_future(connection.input.next_item(1))
    await asyncio.sleep(0)
    connection.receive(OPTIONS[20:])
    assert isinstance(await waiting, Request)


@pytest.mark.parametrize(
    "longest",
    [
        request("SET_PARAMETER", "*", 1, "x: " + "y" * (MAX_HEAD_BYTES - 100), body=bytes(MAX_BODY_BYTES)),
        packet(1, bytes(65_535)),
    ],
    ids=["request", "packet"],
)
@run
async def test_the_longest_item_is_longer_than_what_is_read_at_once(longest: bytes):
    connection = Connection()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < len(longest):
            sent += connection.receive(longest[sent:])
            await asyncio.sleep(0)

    sending = asyncio.ensure_future(send())
    item = await asyncio.wait_for(connection.input.next_item(10), 10)
    await sending
    assert isinstance(item, Request | Packet)
    assert connection.input.pending_bytes == 0


@pytest.mark.parametrize("flood", [packet(1, b"") * 10_000, OPTIONS * 10_000, b"HELLO\r\n\r\n" * 10_000])
@run
async def test_a_flood_is_not_read_and_counts(flood: bytes):
    connection = Connection(commands_per_s=50)
    assert connection.receive(flood) == READ_BYTES, "reading pauses before an item is cut"
    taken = 0

    async def take() -> None:
        nonlocal taken
        while True:
            await connection.input.next_item(60)
            taken += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(take(), 0.5)
    assert connection.delayed > 5
    assert taken < 200
    assert not connection.reading


@run
async def test_one_that_never_stops_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flume.server.limits.commands.EXCESS_S", 0.1)
    connection = Connection(commands_per_s=100)
    connection.receive(packet(1, b"") * 1000)

    async def take() -> None:
        while True:
            await connection.input.next_item(60)

    with pytest.raises(ExcessError):
        await take()


@run
async def test_after_a_request_without_an_end_nothing_is_kept():
    connection = Connection()
    connection.receive(b"OPTIONS " + b"x" * READ_BYTES)
    item = None
    for _ in range(10):
        fault = asyncio.ensure_future(connection.input.next_item(0.05))
        await asyncio.sleep(0)
        connection.receive(b"x" * READ_BYTES)
        try:
            item = item or await fault
        except TimeoutError:
            continue
    assert isinstance(item, Fault)
    assert item.is_last
    assert connection.input.pending_bytes == 0
