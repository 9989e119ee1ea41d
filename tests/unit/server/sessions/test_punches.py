"""Which port a punch chooses: the only one from the player's address, while only one session looks for one."""

import asyncio
from collections import Counter
from collections.abc import Collection

import pytest

from flume.server.sending.socket_filter import MOST_HOSTS
from flume.server.sessions import punches as module
from flume.server.sessions.punches import PUNCHES_PER_ADDRESS, Punch, Punches
from support.async_tests import run

HOST, OTHER = "192.0.2.7", "192.0.2.8"
NAMED, OUTSIDE, ANOTHER = 9000, 61_000, 62_000


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWAIT_S", 0.01), ("SETTLE_S", 0.02), ("LATE_S", 0.3), ("CLOSE_S", 0.01)):
        monkeypatch.setattr(module, name, value)


class Room:
    """Punches, and what they make of the filter and of sessions."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, ...]] = []
        self.counts: Counter[str] = Counter()
        self.waiting: list[tuple[str, int]] = []
        self.dropped = 0
        self.moved: list[int] = []
        self.punches = Punches(self._accept, self.counts, drain=self._drain)

    def _accept(self, hosts: Collection[str]) -> None:
        self.accepted.append(tuple(hosts))

    def _drain(self) -> None:
        for source in self.waiting:
            self.punches.take_untrusted(source)
        self.waiting.clear()

    def session(self, host: str = HOST, port: int = NAMED, *, may_move: bool = True) -> Punch:
        return self.punches.expect((host, port), self.moved.append if may_move else None, lambda: self.dropped)

    def come(self, *ports: int, host: str = HOST) -> None:
        for port in ports:
            assert self.punches.take_untrusted((host, port))


@pytest.mark.parametrize(
    ("ports", "chosen"),
    [
        ((), NAMED),
        ((NAMED,), NAMED),
        ((OUTSIDE,), OUTSIDE),
        ((OUTSIDE, OUTSIDE), OUTSIDE),
        ((OUTSIDE, NAMED), NAMED),
        ((NAMED, OUTSIDE), NAMED),
        ((OUTSIDE, ANOTHER), NAMED),
        ((1023,), NAMED),
        ((53, OUTSIDE), OUTSIDE),
    ],
)
@run
async def test_the_only_port_is_taken_and_the_named_one_otherwise(ports: tuple[int, ...], chosen: int):
    room = Room()
    session = room.session()
    room.come(*ports)
    assert await session.choose() == chosen
    assert session.is_moved == (chosen != NAMED)
    assert room.counts["punch_unclear"] == (ports == (OUTSIDE, ANOTHER))


@run
async def test_what_has_come_and_was_not_read_counts_and_what_comes_in_a_moment_too():
    room = Room()
    session = room.session()
    room.waiting.append((HOST, OUTSIDE))
    assert await session.choose() == OUTSIDE
    session = room.session(port=9002)
    choosing = asyncio.ensure_future(session.choose())
    await asyncio.sleep(0)
    room.come(ANOTHER)
    assert await choosing == ANOTHER


@run
async def test_a_second_port_is_waited_for():
    room = Room()
    session = room.session()
    room.come(OUTSIDE)
    choosing = asyncio.ensure_future(session.choose())
    await asyncio.sleep(0)
    room.come(NAMED)
    assert await choosing == NAMED, "PLAY had overtaken the player's own punch"


@run
async def test_a_punch_of_another_address_or_long_ago_is_none(monkeypatch: pytest.MonkeyPatch):
    room = Room()
    session = room.session()
    assert not room.punches.take_untrusted((OTHER, OUTSIDE))
    monkeypatch.setattr(module, "RECENT_S", 0.0)
    room.come(OUTSIDE)
    await asyncio.sleep(0.01)
    assert await session.choose() == NAMED


@run
async def test_while_two_sessions_of_an_address_look_for_one_neither_moves():
    room = Room()
    first, second = room.session(), room.session(port=9002)
    room.come(OUTSIDE)
    assert list(await asyncio.gather(first.choose(), second.choose())) == [NAMED, 9002]
    assert room.counts["punch_unclear"] == 2


@run
async def test_a_session_that_was_heard_at_its_port_is_not_in_another_one_s_way():
    room = Room()
    direct, hidden = room.session(), room.session(port=9002)
    room.come(NAMED, OUTSIDE)
    assert await hidden.choose() == OUTSIDE
    assert await direct.choose() == NAMED
    third = room.session(port=9004)
    room.come(OUTSIDE)
    assert await third.choose() == 9004, "that port is the second session's"


@run
async def test_one_that_may_not_move_looks_at_nothing():
    room = Room()
    session = room.session(may_move=False)
    assert room.accepted == []
    assert not room.punches.take_untrusted((HOST, OUTSIDE))
    assert await session.choose() == NAMED
    session.pause()
    assert room.accepted == []


@run
async def test_a_late_punch_moves_a_playing_session_once():
    room = Room()
    session = room.session()
    assert await session.choose() == NAMED
    room.come(OUTSIDE)
    assert room.moved == [], "it may not stay the only one"
    await asyncio.sleep(0.05)
    assert (room.moved, session.port) == ([OUTSIDE], OUTSIDE)
    assert not room.punches.take_untrusted((HOST, ANOTHER))
    assert room.moved == [OUTSIDE]


@pytest.mark.parametrize("heard", ["two", "named", "dropped", "closed", "paused", "too late"])
@run
async def test_a_late_punch_moves_nothing(heard: str):
    room = Room()
    session = room.session()
    assert await session.choose() == NAMED
    if heard == "too late":
        await asyncio.sleep(0.4)
        assert not room.punches.take_untrusted((HOST, OUTSIDE))
    else:
        room.come(OUTSIDE)
    match heard:
        case "two":
            room.come(ANOTHER)
        case "named":
            room.come(NAMED)
        case "dropped":
            room.dropped = 1  # at the session's own socket, where only the present port can send
        case "closed":
            session.close()
        case "paused":
            session.pause()
    await asyncio.sleep(0.05)
    assert (room.moved, session.port) == ([], NAMED)
    session.close()


@run
async def test_after_a_pause_it_may_come_from_another_port_and_stays_if_it_is_heard_where_it_was():
    room = Room()
    session = room.session()
    room.come(OUTSIDE)
    assert await session.choose() == OUTSIDE
    session.pause()
    room.come(ANOTHER)
    assert await session.choose() == ANOTHER
    session.pause()
    room.come(OUTSIDE)
    room.dropped += 1
    assert await session.choose() == ANOTHER
    session.pause()
    assert await session.choose() == ANOTHER, "nothing came"
    session.close()


@run
async def test_the_filter_lets_in_the_addresses_that_look_for_a_punch():
    room = Room()
    first, second = room.session(), room.session(OTHER)
    assert room.accepted == [(HOST,), (HOST, OTHER)]
    room.come(NAMED)
    await first.choose()
    await asyncio.sleep(0.1)
    assert room.accepted[-1] == (OTHER,)
    first.pause()
    assert set(room.accepted[-1]) == {HOST, OTHER}
    for session in (first, second):
        session.close()
    await asyncio.sleep(0.1)
    assert not room.accepted[-1]
    assert room.punches._hosts == {}


@run
async def test_a_flood_from_an_address_is_no_more_let_in_and_others_are():
    room = Room()
    room.session(OTHER)
    session = room.session()
    room.come(*range(50_000, 50_000 + 2 * int(PUNCHES_PER_ADDRESS.burst)))
    assert room.accepted[-1] == (OTHER,)
    assert len(session._host._ports_s) <= module.MOST_PORTS
    assert await session.choose() == NAMED
    room.session(port=9002)
    assert room.accepted[-1] == (OTHER,), "not by another session either"


@run
async def test_one_that_sends_from_its_port_until_nothing_is_let_in_gets_no_stream():
    """The player's own punch, which is kept out so, would have made two ports of one."""
    room = Room()
    session = room.session()
    room.come(*[OUTSIDE] * (2 * int(PUNCHES_PER_ADDRESS.burst)), ANOTHER)
    assert await session.choose() == NAMED
    room.come(OUTSIDE)
    await asyncio.sleep(0.05)
    assert room.moved == []
    session.close()


@run
async def test_one_that_sends_from_many_ports_and_then_from_one_does_not_keep_the_player_s_out(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "RECENT_S", 0.05)
    room = Room()
    session = room.session()
    room.come(*range(50_000, 50_000 + 2 * module.MOST_PORTS))
    await asyncio.sleep(0.1)
    last = 50_000 + 2 * module.MOST_PORTS - 1
    room.come(last, OUTSIDE, last)
    assert await session.choose() == NAMED
    session.close()


@run
async def test_what_one_session_has_seen_is_not_forgotten_for_another():
    room = Room()
    first, second = room.session(), room.session(port=9002)
    room.come(NAMED, OUTSIDE)
    await asyncio.sleep(0.01)
    assert await first.choose() == NAMED
    first.pause()
    room.come(ANOTHER)
    assert await first.choose() == NAMED
    assert await second.choose() == 9002, "two ports came since it was named"
    for session in (first, second):
        session.close()


def test_the_newest_addresses_are_in_the_filter():
    room = Room()
    for number in range(MOST_HOSTS + 1):
        room.session(f"192.0.2.{number}")
    assert room.accepted[-1] == tuple(f"192.0.2.{number}" for number in range(1, MOST_HOSTS + 1))
    room.session("192.0.2.5", 9002)
    assert len(room.accepted) == MOST_HOSTS + 1, "the filter is changed only for another address"
