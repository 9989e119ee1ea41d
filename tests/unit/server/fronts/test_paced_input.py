"""Lines of one connection: cut when asked for, read no faster than they are taken, in their time."""

import asyncio
import time
from typing import Any

import pytest

from flume.control.codec import Line, LineBuffer
from flume.errors import RemoteProtocolError
from flume.server.fronts.paced_input import READ_BYTES, ExcessError
from flume.server.limits.commands import CommandBudget
from flume.settings import ServerSettings
from support.async_tests import run
from support.servers.paced_connection import PacedConnection


class Connection(PacedConnection[Line]):
    def __init__(self, **settings: Any) -> None:
        super().__init__(LineBuffer(max_line_bytes=4096), **settings)


@run
async def test_lines_come_in_their_order_and_blank_ones_do_not():
    connection = Connection()
    connection.receive(b"one\r\n\n  \ntwo\nthr")
    assert [await connection.input.next_item(1) for _ in range(2)] == [b"one", b"two"]
    waiting = asyncio.ensure_future(connection.input.next_item(1))
    await asyncio.sleep(0)
    connection.receive(b"ee\n")
    assert await waiting == b"three"
    assert connection.reading


@run
async def test_a_flood_is_not_read_and_blank_lines_count():
    connection = Connection(commands_per_s=50)
    assert connection.receive(b"\n" * 262_144) == READ_BYTES, "reading pauses before a line is cut"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.input.next_item(60), 0.3)
    assert connection.delayed > 5
    assert connection.input.pending_bytes > READ_BYTES - 150
    assert not connection.reading


@run
async def test_a_flood_without_a_newline_is_read_at_a_bounded_rate_and_kept_nowhere():
    connection = Connection(commands_per_s=50)
    taken = 0

    async def flood() -> None:
        nonlocal taken
        while True:
            taken += connection.receive(b"x" * 65_536)
            assert connection.input.pending_bytes <= 2 * READ_BYTES
            await asyncio.sleep(0)

    flooding = asyncio.ensure_future(flood())
    line = await connection.input.next_item(60)
    assert isinstance(line, RemoteProtocolError)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.input.next_item(60), 0.5)
    flooding.cancel()
    assert taken < (100 + 50) * READ_BYTES * 2


@run
async def test_silence_is_a_timeout_and_the_end_is_none():
    connection = Connection()
    with pytest.raises(TimeoutError):
        await connection.input.next_item(0.02)
    connection.receive(b"last\nhal")
    connection.input.end()
    assert await connection.input.next_item(1) == b"last"
    assert await connection.input.next_item(1) is None


@run
async def test_what_is_discarded_is_not_carried_out_and_a_wait_for_it_ends_at_once():
    connection = Connection(commands_per_s=1)
    connection.receive(b"a\n" * 2000)
    for _ in range(2):
        assert await connection.input.next_item(1) == b"a"
    began_s = time.monotonic()
    waiting = asyncio.ensure_future(connection.input.next_item(60))
    await asyncio.sleep(0.01)
    connection.input.discard()
    assert await waiting is None
    assert time.monotonic() - began_s < 0.5
    assert connection.input.pending_bytes == 0
    connection.input.received(10)
    assert await connection.input.next_item(1) is None


def test_one_that_never_stops_is_given_up(monkeypatch):
    monkeypatch.setattr("flume.server.limits.commands.EXCESS_S", 0.1)

    async def flood() -> None:
        connection = Connection(commands_per_s=100)
        connection.receive(b"\n" * 4096)
        with pytest.raises(ExcessError):
            await connection.input.next_item(60)

    asyncio.run(flood())


@run
async def test_an_end_without_a_byte_is_no_line():
    budget = CommandBudget(ServerSettings(commands_per_s=1, commands_per_s_per_address=1, commands_per_s_in_all=1))
    for _ in range(100):
        connection = Connection(all_of=budget)
        waiting = asyncio.ensure_future(connection.input.next_item(60))
        await asyncio.sleep(0)
        connection.input.end()
        assert await asyncio.wait_for(waiting, 5) is None
        assert connection.delayed == 0


@run
async def test_a_flood_of_one_network_keeps_no_line_of_another_one_waiting():
    """The flood alone would take ten minutes."""
    budget = CommandBudget(ServerSettings(commands_per_s_in_all=20))
    flood = [Connection(all_of=budget, address=f"198.18.0.{number}") for number in range(200)]
    for connection in flood:
        connection.receive(b"a\n" * 60)
    taking = [asyncio.ensure_future(_take_all(connection)) for connection in flood]
    await asyncio.sleep(0.01)
    assert sum(connection.delayed for connection in flood) > 100
    honest = Connection(all_of=budget, address="203.0.113.1")
    honest.receive(b"connect\n")
    assert await asyncio.wait_for(honest.input.next_item(60), 20) == b"connect"
    for connection in flood:
        connection.input.discard()
    await asyncio.wait_for(asyncio.gather(*taking), 20)
    assert not budget.turns.has_waiters, "nobody waits for lines of connections that have gone"


async def _take_all(connection: Connection) -> None:
    while await connection.input.next_item(60):
        pass


@run
async def test_lines_of_connections_that_have_gone_are_given_back_to_their_address():
    budget = CommandBudget(ServerSettings(commands_per_s_per_address=5))
    gone = [Connection(all_of=budget) for _ in range(500)]
    taking = []
    for connection in gone:
        connection.receive(b"a\n")
        taking.append(asyncio.ensure_future(connection.input.next_item(60)))
    await asyncio.sleep(0.01)
    for connection in gone:
        connection.input.discard()
    await asyncio.wait_for(asyncio.gather(*taking), 20)
    honest = Connection(all_of=budget)
    honest.receive(b"connect\n")
    assert await asyncio.wait_for(honest.input.next_item(60), 20) == b"connect", "it would have to wait 98 s"
