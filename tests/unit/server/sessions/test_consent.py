"""Consent: the clock, and the moves of the media path."""

import asyncio
import socket
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


class ConsentHarness:
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


def with_harness(test: Callable[[ConsentHarness], Awaitable[None]]) -> Callable[[], None]:
    def wrapper() -> None:
        async def main() -> None:
            harness = ConsentHarness()
            try:
                await test(harness)
            finally:
                harness.consent.end()
                harness.port.close()

        asyncio.run(main())

    wrapper.__name__ = test.__name__
    return wrapper


@with_harness
async def test_the_clock_expires_after_the_timeout_unless_it_is_refreshed(harness: ConsentHarness):
    consent = harness.consent
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


@with_harness
async def test_the_first_token_brings_the_path_into_use(harness: ConsentHarness):
    assert harness.token_from(FIRST) is Signal.CONSENT
    assert harness.path.address == FIRST
    assert harness.path.socket is not None
    assert harness.path.socket.getpeername() == FIRST


@with_harness
async def test_a_token_from_another_port_is_a_move_that_waits_until_the_stream_has_stopped(harness: ConsentHarness):
    harness.token_from(FIRST)
    first = harness.path.socket
    harness.let_time_pass()
    assert harness.token_from(SECOND) is Signal.CONSENT_MOVED
    assert harness.path.socket is first, "the stream still runs on it"
    harness.consent.move("rtp")
    assert harness.path.address == SECOND
    assert first is not None
    assert first.fileno() == -1


@with_harness
async def test_a_token_that_was_overtaken_moves_nothing_back(harness: ConsentHarness):
    harness.token_from(FIRST)
    assert harness.token_from(SECOND) is None, "a moment ago it came from the first port"
    assert harness.path.address == FIRST
    assert harness.counts == {"token_from_other_port": 1}


@with_harness
async def test_a_token_that_waits_may_turn_out_to_be_from_the_present_port(harness: ConsentHarness):
    harness.token_from(FIRST)
    assert harness.token_from(FIRST) is Signal.CONSENT
    assert not harness.consent.has_arrival
    assert harness.consent.follow(None, "rtp") is None, "and it is followed once"


@with_harness
async def test_a_token_of_a_session_that_has_ended_is_dropped(harness: ConsentHarness):
    harness.consent.arrive(FIRST)
    assert harness.consent.has_arrival
    harness.consent.drop_arrival()
    assert harness.consent.follow(None, "rtp") is None
    assert harness.path.socket is None


@with_harness
async def test_without_a_route_nothing_changes(harness: ConsentHarness):
    harness.token_from(FIRST)
    harness.let_time_pass()
    harness.consent.arrive(SECOND)
    with pytest.raises(NetworkError, match="cannot send media to"):
        harness.consent.follow("198.51.100.1", "rtp")
    assert harness.path.address == FIRST


@with_harness
async def test_the_end_closes_the_path_and_stops_the_clock(harness: ConsentHarness):
    harness.consent.refresh()
    harness.token_from(FIRST)
    harness.consent.arrive(SECOND)
    harness.consent.end()
    assert harness.path.socket is None
    assert harness.path.address is None
    assert not harness.consent.is_running
    assert not harness.consent.has_arrival


@with_harness
async def test_the_token_is_asked_for_once_after_half_the_timeout(harness: ConsentHarness):
    consent = harness.consent
    assert not consent.is_to_be_asked_for(float("inf")), "the clock does not run"
    consent.refresh()
    now_s = time.monotonic()
    half_s = SETTINGS.consent_timeout_s / 2
    assert not consent.is_to_be_asked_for(now_s + half_s - 1)
    assert consent.is_to_be_asked_for(now_s + half_s)
    consent.note_asked_for()
    assert not consent.is_to_be_asked_for(now_s + half_s + 1)
    consent.refresh()
    assert consent.is_to_be_asked_for(time.monotonic() + half_s), "each silence is asked about anew"


# -- ICMP ------------------------------------------------------------------------------------------------------


def refuse(harness: ConsentHarness, now_s: float) -> bool:
    assert harness.path.socket is not None
    return harness.consent.note_refused(harness.path.socket, now_s)


@with_harness
async def test_icmp_is_believed_when_no_proof_comes_for_a_second(harness: ConsentHarness):
    harness.token_from(FIRST)
    assert refuse(harness, 100.0)
    assert not refuse(harness, 100.1), "one question is under way"
    assert harness.consent.is_in_doubt
    harness.consent.refresh()
    assert harness.consent.believed_refusal(100.9) is None
    assert harness.consent.believed_refusal(101.0) is harness.path.socket, "whatever tokens came meanwhile"


@with_harness
async def test_a_proof_refutes_icmp_and_gives_rest(harness: ConsentHarness):
    harness.token_from(FIRST)
    refuse(harness, 100.0)
    harness.consent.note_proof(SECOND, 100.1)
    assert harness.consent.is_in_doubt, "another port proves nothing"
    harness.consent.note_proof(FIRST, 100.1)
    assert not harness.consent.is_in_doubt
    assert harness.consent.believed_refusal(1000.0) is None
    assert not refuse(harness, 102.0)
    assert refuse(harness, 102.2)


@with_harness
async def test_a_long_round_trip_gets_more_time(harness: ConsentHarness):
    harness.consent.await_proof(FIRST, None)
    harness.consent.note_proof(FIRST, time.monotonic() + 1.0)
    harness.token_from(FIRST)
    refuse(harness, 100.0)
    assert harness.consent.believed_refusal(102.9) is None
    assert harness.consent.believed_refusal(104.0) is not None


@with_harness
async def test_icmp_about_another_socket_means_nothing(harness: ConsentHarness):
    harness.token_from(FIRST)
    first = harness.path.socket
    assert first is not None
    refuse(harness, 100.0)
    harness.let_time_pass()
    harness.token_from(SECOND)
    harness.consent.move("rtp")
    assert not harness.consent.is_in_doubt, "it was about the port before"
    assert not harness.consent.note_refused(first, 100.0)


@with_harness
async def test_a_question_before_the_first_window_has_a_socket_that_sees_its_rejection(harness: ConsentHarness):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((HOST, 0))
        port = closed.getsockname()
    seen: list[socket.socket] = []
    harness.path._on_refused = seen.append
    assert [harness.consent.await_proof(port, HOST) for _ in range(4)] == [False, False, False, True]
    harness.port.send_back(b"?", port, HOST)
    until_s = time.monotonic() + 5
    while not seen and time.monotonic() < until_s:
        await asyncio.sleep(0.01)
    assert harness.path.socket is None
    assert harness.consent.note_refused(seen[0], 100.0)
    assert harness.consent.believed_refusal(101.4) is None, "it is asked only as its tokens come"
    assert harness.consent.believed_refusal(101.6) is seen[0]
