"""Consent: the clock, and the moves of the media path."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from flume.control.session import Signal
from flume.errors import NetworkError
from flume.server.ports import bind_media
from flume.server.sending.media_port import MediaPort
from flume.server.sessions.consent import Consent
from flume.server.sessions.media_path import MediaPath
from flume.settings import ServerSettings

HOST = "127.0.0.1"
FIRST, SECOND = (HOST, 40_001), (HOST, 40_002)
SETTINGS = ServerSettings(host=HOST, port=0)


class Stage:
    def __init__(self) -> None:
        self.port = MediaPort(HOST, bind_media(HOST, 0))
        self.path = MediaPath(self.port, on_datagram=lambda _data, _source: None, on_refused=lambda _media: None)
        self.counts: Counter[str] = Counter()
        self.consent = Consent(self.path, settings=SETTINGS, segmentation=False, counts=self.counts)

    def token_from(self, source: tuple[str, int]) -> Signal | None:
        self.consent.arrive(source)
        return self.consent.follow(None, "rtp")

    def let_time_pass(self) -> None:
        self.path.since_s -= SETTINGS.token_interval_s


def on_stage(test: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    def wrapper() -> None:
        async def main() -> None:
            stage = Stage()
            try:
                await test(stage)
            finally:
                stage.consent.end()
                stage.port.close()

        asyncio.run(main())

    wrapper.__name__ = test.__name__
    return wrapper


@on_stage
async def test_the_clock_expires_after_the_timeout_unless_it_is_refreshed(stage: Stage):
    consent = stage.consent
    assert not consent.is_expired(float("inf")), "it does not run yet"
    consent.refresh()
    now_s = time.monotonic()
    assert consent.is_running
    assert not consent.is_expired(now_s)
    assert not consent.is_expired(now_s + 0.9 * SETTINGS.consent_timeout_s)
    assert consent.is_expired(now_s + SETTINGS.consent_timeout_s)
    consent.stop_clock()
    assert not consent.is_running
    assert not consent.is_expired(float("inf"))


@on_stage
async def test_the_first_token_brings_the_path_into_use(stage: Stage):
    assert stage.token_from(FIRST) is Signal.CONSENT
    assert stage.path.address == FIRST
    assert stage.path.socket is not None
    assert stage.path.socket.getpeername() == FIRST


@on_stage
async def test_a_token_from_another_port_is_a_move_that_waits_until_the_stream_has_stopped(stage: Stage):
    stage.token_from(FIRST)
    first = stage.path.socket
    stage.let_time_pass()
    assert stage.token_from(SECOND) is Signal.CONSENT_MOVED
    assert stage.path.socket is first, "the stream still runs on it"
    stage.consent.move("rtp")
    assert stage.path.address == SECOND
    assert first is not None
    assert first.fileno() == -1


@on_stage
async def test_a_token_that_was_overtaken_moves_nothing_back(stage: Stage):
    stage.token_from(FIRST)
    assert stage.token_from(SECOND) is None, "a moment ago it came from the first port"
    assert stage.path.address == FIRST
    assert stage.counts == {"token_from_other_port": 1}


@on_stage
async def test_a_token_that_waits_may_turn_out_to_be_from_the_present_port(stage: Stage):
    stage.token_from(FIRST)
    assert stage.token_from(FIRST) is Signal.CONSENT
    assert not stage.consent.has_arrival
    assert stage.consent.follow(None, "rtp") is None, "and it is followed once"


@on_stage
async def test_a_token_of_a_session_that_has_ended_is_dropped(stage: Stage):
    stage.consent.arrive(FIRST)
    assert stage.consent.has_arrival
    stage.consent.drop_arrival()
    assert stage.consent.follow(None, "rtp") is None
    assert stage.path.socket is None


@on_stage
async def test_without_a_route_nothing_changes(stage: Stage):
    stage.token_from(FIRST)
    stage.let_time_pass()
    stage.consent.arrive(SECOND)
    with pytest.raises(NetworkError, match="no way to send media to"):
        stage.consent.follow("198.51.100.1", "rtp")
    assert stage.path.address == FIRST


@on_stage
async def test_the_end_closes_the_path_and_stops_the_clock(stage: Stage):
    stage.consent.refresh()
    stage.token_from(FIRST)
    stage.consent.arrive(SECOND)
    stage.consent.end()
    assert stage.path.socket is None
    assert stage.path.address is None
    assert not stage.consent.is_running
    assert not stage.consent.has_arrival
