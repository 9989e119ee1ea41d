"""RTCP of one player: reports while it plays and not otherwise, BYE at the end, and what it reports itself."""

import asyncio
import struct
from typing import Any

import pytest

from flume.control.session import Signal
from flume.media.rtp import HEADER_BYTES
from flume.server.fronts.sender_reports import ReportClock
from flume.server.sending.rtcp_port import RtcpPort
from support.async_tests import run
from support.clients.rtsp_reading import Interleaved, packet
from support.servers.front_harness import SSRC, TCP, PaperPlayer, paper_player
from support.servers.session_harness import let_run

BYE = struct.pack("!BBHI", 0x81, 203, 1, SSRC)
PLAYER = ("127.0.0.1", 40_011)


class PaperPort:
    """A port of RTCP that keeps what is sent."""

    port = 5005

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, object]] = []
        self.listeners: dict[object, Any] = {}
        self.seekers: dict[str, Any] = {}

    def listen(self, player: object, take: object) -> None:
        self.listeners[player] = take

    def forget(self, player: object, take: object) -> None:
        assert self.listeners.pop(player, take) == take

    def seek(self, host: str, found: Any) -> None:
        self.seekers[host] = found

    def seek_no_more(self, host: str, found: Any) -> None:
        assert self.seekers.pop(host, found) == found

    def send(self, data: bytes, player: object) -> None:
        self.sent.append((data, player))


def of(port: PaperPort) -> RtcpPort:
    return port  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flume.server.fronts.sender_reports.INTERVAL_S", 0.01)


def report_of(fraction: int, ssrc: int = SSRC) -> bytes:
    return struct.pack("!BBHIIIIIII", 0x81, 201, 7, 99, ssrc, fraction << 24 | 3, 70, 5, 0, 0)


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


@run
async def test_reports_go_to_the_player_s_second_port_while_it_plays():
    port = PaperPort()
    async with paper_player(rtcp=of(port), newest=lambda: (9, 4_500)) as player:
        assert f"server_port={player.harness.media_port.port}-5005" in (await player.setup()).headers["transport"]
        await asyncio.sleep(0.05)
        assert port.sent == [], "nothing before PLAY"
        await player.ask("PLAY")
        player.harness.deliver(3)
        await until(lambda: len(port.sent) >= 2)
        data, destination = port.sent[-1]
        assert destination == PLAYER
        _, _, _, ssrc, _, _, rtp_time, datagrams, octets = struct.unpack_from("!BBHIIIIII", data)
        assert (ssrc, rtp_time, datagrams, octets) == (SSRC, 4_500, 3, 3 * (1328 - HEADER_BYTES))
        for method in ("PAUSE", "TEARDOWN"):
            await player.ask(method)
            sent = len(port.sent)
            await asyncio.sleep(0.05)
            assert len(port.sent) == sent
            assert port.listeners == {}
            if method == "PAUSE":
                await player.ask("PLAY")
                await until(lambda: len(port.sent) > sent)  # noqa: B023 - awaited here


@run
async def test_on_the_connection_they_have_the_second_channel():
    async with paper_player(newest=lambda: (9, 4_500)) as player:
        await player.setup(TCP)
        await player.ask("PLAY")
        found: list[object] = []

        def came() -> bool:
            found.extend(player.received())
            return len(found) > 1

        await until(came)
        assert {(item.channel, item.data[:2]) for item in found if isinstance(item, Interleaved)} == {(5, b"\x80\xc8")}
        assert (await player.ask("TEARDOWN")).status == 200
        await asyncio.sleep(0.05)
        assert player.received() == []


@pytest.mark.parametrize("state", ["playing", "paused"])
@run
async def test_a_session_that_the_server_ends_has_a_bye(state: str):
    port = PaperPort()
    async with paper_player(rtcp=of(port), newest=lambda: (9, 4_500)) as player:
        await player.setup()
        await player.ask("PLAY")
        if state == "paused":
            await player.ask("PAUSE")
        await player.harness.table.signal_all(Signal.SOURCE_ENDED, "over")
        data, destination = port.sent[-1]
        assert destination == PLAYER
        assert data.endswith(BYE)
        assert port.listeners == {}
        sent = len(port.sent)
        await asyncio.sleep(0.05)
        assert len(port.sent) == sent


@run
async def test_nothing_is_reported_before_the_first_datagram_or_to_a_player_without_a_port_for_it():
    port = PaperPort()
    async with paper_player(rtcp=of(port), newest=lambda: None) as player:
        await player.setup()
        await player.ask("PLAY")
        await asyncio.sleep(0.05)
    async with paper_player(rtcp=of(port), newest=lambda: (9, 1)) as player:
        await player.setup("RTP/AVP;unicast;client_port=40010")
        await player.ask("PLAY")
        await asyncio.sleep(0.05)
    assert port.sent == []


@run
async def test_the_end_of_the_connection_ends_the_reports():
    port = PaperPort()
    async with paper_player(rtcp=of(port), newest=lambda: (9, 1)) as player:
        await player.setup()
        await player.ask("PLAY")
        player.connection.connection_lost(None)
        await let_run()
        sent = len(port.sent)
        await asyncio.sleep(0.05)
        assert (len(port.sent), port.listeners) == (sent, {})


@run
async def test_what_the_player_reports_of_this_stream_is_kept_as_its_last_claim():
    port = PaperPort()
    async with paper_player(rtcp=of(port), newest=lambda: (9, 1)) as player:
        await player.setup()
        await player.ask("PLAY")
        take = port.listeners[PLAYER]
        for data in (report_of(64), report_of(128, ssrc=8), b"", b"\x81\xc9\0\x07", report_of(32)[:-1]):
            take(data)
        assert latest(player) == 0.25
    async with paper_player(newest=lambda: (9, 1)) as player:
        await player.setup(TCP)
        await player.ask("PLAY")
        await player.receive(packet(5, report_of(32)))
        assert latest(player) == 0.125


@run
async def test_status_names_no_address_of_a_player():
    async with paper_player(newest=lambda: (9, 1)) as player:
        await player.setup(TCP)
        await player.ask("PLAY")
        await player.receive(packet(5, report_of(32)))
        assert [*player.harness.table.claims()] == ["1"]


def latest(player: PaperPlayer) -> float | None:
    claim = player.connection._session.reception.claim
    return None if claim is None else claim.fraction_lost


@pytest.mark.parametrize("is_late", [False, True])
@run
async def test_behind_a_nat_reports_go_where_the_player_s_come_from_and_before_nowhere(is_late: bool):
    port, outside = PaperPort(), ("127.0.0.1", 40_500)
    async with paper_player(rtcp=of(port), newest=lambda: (9, 4_500)) as player:
        await player.ask("OPTIONS")
        await player.setup()
        if not is_late:
            player.harness.arrivals.on_datagram_untrusted(b"punch", outside)
        await player.receive(player.request("PLAY"))
        await until(player.received)
        if is_late:
            player.harness.arrivals.on_datagram_untrusted(b"punch", outside)
            roster = player.harness.current
            await until(lambda: [one.socket.getpeername() for one in roster.roster.recipients] == [outside])
        port.sent.clear()
        await asyncio.sleep(0.05)
        assert (port.sent, port.listeners) == ([], {}), "the named port is no port of the NAT's"
        found = ("127.0.0.1", 40_700)
        port.seekers["127.0.0.1"](found)
        await until(lambda: port.sent)
        assert {player for _, player in port.sent} == {found}
        await player.ask("PAUSE")
        assert (port.seekers, port.listeners) == ({}, {})


@run
async def test_one_timer_serves_all_players_each_in_its_interval_and_ends_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("flume.server.fronts.sender_reports.INTERVAL_S", 0.2)
    clock, loop, called = ReportClock(), asyncio.get_running_loop(), list[tuple[str, float]]()
    timers: list[float] = []
    call_later = loop.call_later

    def counted(delay_s: float, *arguments: Any) -> asyncio.TimerHandle:
        timers.append(delay_s)
        return call_later(delay_s, *arguments)

    reports = [lambda name=name: called.append((name, loop.time())) for name in "abc"]
    began_s = loop.time()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_later", counted)
        for report in reports:
            clock.add(report)
    assert len(timers) == 1
    await until(lambda: len(called) >= 6)
    assert [name for name, _ in called[:6]] == list("abcabc")
    assert called[0][1] - began_s >= 0.2
    assert called[3][1] - called[0][1] >= 0.2
    clock.remove(reports[1])
    clock.remove(reports[1])
    called.clear()
    await until(lambda: len(called) >= 2)
    assert "b" not in {name for name, _ in called}
    for report in reports:
        clock.remove(report)
    assert clock._timer is None
    called.clear()
    await asyncio.sleep(0.05)
    assert called == []


@run
async def test_a_report_that_ends_another_session_is_not_followed_by_its_report():
    clock, called = ReportClock(), list[str]()

    def second() -> None:
        called.append("second")

    def first() -> None:
        called.append("first")
        clock.remove(second)

    clock.add(first)
    clock.add(second)
    await until(lambda: called.count("first") >= 2)
    clock.remove(first)
    assert "second" not in called
