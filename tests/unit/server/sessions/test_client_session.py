"""One session: what is said and done, in which order. The test is the front and the sender thread."""

import asyncio
import socket
import time

from flume.control.messages import (
    TOKEN_LATE,
    Active,
    Alive,
    Closed,
    Connect,
    Connected,
    Continue,
    Continued,
    Disconnect,
    Disconnected,
    Interrupt,
    Interrupted,
    Notice,
    Refused,
    Status,
    StatusQuery,
)
from flume.control.session import Command, Signal, State
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES
from flume.server.sessions.client_session import ClientSession
from support.servers.session_harness import FIRST_SEQUENCE, STATUS, SessionHarness, let_run, with_sessions

PEER = ("127.0.0.1", 40_000)
PORT, OTHER_PORT = ("127.0.0.1", 40_001), ("127.0.0.1", 40_002)


async def active_session(harness: SessionHarness) -> ClientSession:
    session = harness.table.open(PEER, harness.send)
    await session.command(Connect())
    session.consent(PORT)
    await let_run()
    assert session.state is State.ACTIVE
    return session


@with_sessions
async def test_a_token_is_given_and_nothing_subscribed_before_it_comes_back(harness: SessionHarness):
    session = harness.table.open(PEER, harness.send)
    await session.command(Connect())
    (reply,) = harness.said
    assert isinstance(reply, Connected)
    assert (reply.state, reply.port, reply.ssrc) == (State.CONNECTING, harness.media_port.port, 7)
    assert harness.tokens.find_untrusted(reply.token.encode()) is session
    assert harness.current.roster.recipients == ()


@with_sessions
async def test_the_first_number_is_announced_before_the_client_is_subscribed(harness: SessionHarness):
    await active_session(harness)
    active = harness.said[-1]
    assert active == Active(state=State.ACTIVE, address=PORT[0], port=PORT[1], first_sequence=FIRST_SEQUENCE)
    assert harness.subscribed[-1] == 0
    assert harness.recipient.socket.getpeername() == PORT


@with_sessions
async def test_the_reply_to_interrupt_waits_for_the_sender_thread(harness: SessionHarness):
    session = await active_session(harness)
    harness.deliver(5)
    harness.sender_lives = False
    interrupting = asyncio.get_running_loop().create_task(session.command(Interrupt()))
    await let_run()
    assert not any(isinstance(message, Interrupted) for message in harness.said)
    harness.adopt()
    await asyncio.wait_for(interrupting, 5)
    assert harness.said[-1] == Interrupted(state=State.INTERRUPTED, last_sequence=FIRST_SEQUENCE + 4, datagrams=5)


@with_sessions
async def test_a_command_that_comes_meanwhile_is_carried_out_after_it(harness: SessionHarness):
    session = await active_session(harness)
    harness.sender_lives = False
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(session.command(request)) for request in (Interrupt(), Continue(), StatusQuery())]
    await let_run()
    harness.sender_lives = True
    harness.adopt()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert [type(message) for message in harness.said[-3:]] == [Interrupted, Continued, Status]


@with_sessions
async def test_continue_names_the_next_datagram_before_it_subscribes(harness: SessionHarness):
    session = await active_session(harness)
    harness.deliver(3)
    await session.command(Interrupt())
    await session.command(Continue())
    assert harness.said[-1] == Continued(state=State.ACTIVE, first_sequence=FIRST_SEQUENCE + 3)
    assert harness.subscribed[-1] == 0
    assert harness.recipient.cursor == 3


@with_sessions
async def test_disconnect_reports_the_window_and_forgets_the_token(harness: SessionHarness):
    session = await active_session(harness)
    connected = harness.said[0]
    assert isinstance(connected, Connected)
    media = harness.recipient.socket
    harness.deliver(4)
    await session.command(Disconnect())
    assert harness.said[-1] == Disconnected(state=State.CLOSED, last_sequence=FIRST_SEQUENCE + 3, datagrams=4)
    assert harness.tokens.find_untrusted(connected.token.encode()) is None
    assert media.fileno() == -1, "and the media socket is closed"


@with_sessions
async def test_the_token_from_another_port_moves_the_same_window(harness: SessionHarness):
    session = await active_session(harness)
    harness.deliver(2)
    session._media.path.since_s -= harness.settings.token_interval_s
    session.consent(OTHER_PORT)
    await let_run()
    notice = harness.said[-1]
    assert isinstance(notice, Notice)
    assert notice.code == "media_moved"
    assert harness.recipient.socket.getpeername() == OTHER_PORT
    harness.deliver(3)
    await session.command(Interrupt())
    assert harness.said[-1] == Interrupted(state=State.INTERRUPTED, last_sequence=FIRST_SEQUENCE + 4, datagrams=5)


def fill_ring(harness: SessionHarness, *, keyframe: bool) -> None:
    """Put three seconds of stream without a keyframe into the ring, and then perhaps one."""
    for index in range(31):
        due_s, random_access = index / 10, keyframe and index == 30
        harness.ring.extend([Datagram(bytes(PAYLOAD_BYTES), due_s, random_access)])


@with_sessions
async def test_a_client_that_has_to_wait_for_a_keyframe_is_told_so(harness: SessionHarness):
    fill_ring(harness, keyframe=False)
    session = await active_session(harness)
    text = "no keyframe came in the last 3 s: the picture begins with the next one"
    assert harness.said[-1] == Notice(state=State.ACTIVE, code="no_keyframe", message=text)
    await session.command(Interrupt())
    session._outbox._noticed_s -= 1.0
    fill_ring(harness, keyframe=False)
    await session.command(Continue())
    assert [type(message) for message in harness.said[-2:]] == [Continued, Notice]


@with_sessions
async def test_a_client_that_begins_at_a_keyframe_is_told_nothing(harness: SessionHarness):
    fill_ring(harness, keyframe=True)
    await active_session(harness)
    assert not any(isinstance(message, Notice) for message in harness.said)


@with_sessions
async def test_what_is_refused_says_what_is_possible_and_changes_nothing(harness: SessionHarness):
    session = harness.table.open(PEER, harness.send)
    await session.command(Continue())
    refused = harness.said[-1]
    assert isinstance(refused, Refused)
    assert (refused.command, refused.code, refused.allowed) == ("continue", "not_allowed_now", ("connect", "status"))
    assert session.state is State.CLOSED


@with_sessions
async def test_at_the_end_of_the_video_delivery_stops_before_the_client_is_told(harness: SessionHarness):
    await active_session(harness)
    harness.deliver(2)
    await harness.table.signal_all(Signal.SOURCE_ENDED, "every item was played once")
    closed = harness.said[-1]
    assert isinstance(closed, Closed)
    assert (closed.code, closed.last_sequence) == ("source_ended", FIRST_SEQUENCE + 1)
    assert closed.message == "the video is over: every item was played once"
    assert harness.subscribed[-1] == 0


@with_sessions
async def test_consent_that_expires_ends_the_session_and_a_token_meanwhile_keeps_it(harness: SessionHarness):
    session = await active_session(harness)
    session.on_time(float("inf"))
    session.consent(PORT)  # before the signal has been carried out
    await let_run()
    assert session.state is State.ACTIVE
    session.on_time(float("inf"))
    await let_run()
    closed = harness.said[-1]
    assert isinstance(closed, Closed)
    assert closed.code == "consent_expired"


async def wait_until_closed(harness: SessionHarness, *, for_s: float) -> bool:
    """Whether the client is told so within *for_s*."""
    until_s = time.monotonic() + for_s
    while not (is_closed := isinstance(harness.said[-1], Closed)) and time.monotonic() < until_s:
        await asyncio.sleep(0.01)
    return is_closed


@with_sessions
async def test_a_refusal_of_a_socket_that_was_replaced_means_nothing(harness: SessionHarness):
    session = await active_session(harness)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old:
        session.on_refused(old)
        assert not session._media.consent.is_in_doubt
    session.on_refused(harness.recipient.socket)
    assert await wait_until_closed(harness, for_s=10)
    closed = harness.said[-1]
    assert isinstance(closed, Closed)
    assert closed.code == "port_unreachable"


@with_sessions
async def test_a_refusal_means_nothing_where_the_port_answers(harness: SessionHarness):
    session = await active_session(harness)
    token = str(session._media.token).encode()
    asked: list[bytes] = []
    harness.media_port.send_back = lambda data, _peer, _local: asked.append(data)  # type: ignore[method-assign,assignment]
    session.on_refused(harness.recipient.socket)
    assert len(asked) == 1, "at once"
    assert asked[0].startswith(token + b"!")
    session.consent(PORT)
    assert session._media.consent.is_in_doubt, "a token is no answer"
    harness.arrivals.on_datagram_untrusted(asked[0], PORT)
    assert not session._media.consent.is_in_doubt
    session.on_refused(harness.recipient.socket)
    assert not await wait_until_closed(harness, for_s=0.3)
    assert len(asked) == 1


@with_sessions
async def test_a_client_that_leaves_and_a_server_that_closes_begin_no_delivery(harness: SessionHarness):
    leaving, waiting = (harness.table.open(("127.0.0.1", port), harness.send) for port in (1, 2))
    for session in (leaving, waiting):
        await session.command(Connect())
    leaving.leaving = True
    harness.table.begin_closing()
    for session in (leaving, waiting):
        session.consent(PORT)
    await let_run()
    assert harness.current.roster.recipients == ()
    await waiting.command(Disconnect())
    await waiting.command(Connect())
    refused = harness.said[-1]
    assert isinstance(refused, Refused)
    assert refused.code == "shutdown"


@with_sessions
async def test_a_client_that_leaves_after_an_interruption_begins_no_delivery(harness: SessionHarness):
    session = await active_session(harness)
    await session.command(Interrupt())
    session.leaving = True
    await session.command(Continue())
    refused = harness.said[-1]
    assert isinstance(refused, Refused)
    assert (refused.command, refused.code) == (Command.CONTINUE, "not_allowed_now")
    assert harness.current.roster.recipients == ()


@with_sessions
async def test_status_counts_past_windows_and_the_present_one(harness: SessionHarness):
    session = await active_session(harness)
    harness.deliver(2)
    await session.command(Interrupt())
    await session.command(Continue())
    harness.deliver(3)
    await session.command(StatusQuery())
    status = harness.said[-1]
    assert isinstance(status, Status)
    assert (status.session.datagrams, status.session.bytes, status.session.batches) == (5, 5 * DATAGRAM_BYTES, 2)
    assert status.server is STATUS


@with_sessions
async def test_a_silent_server_says_that_it_lives_while_there_is_a_session(harness: SessionHarness):
    session = harness.table.open(PEER, harness.send)
    session.on_time(float("inf"))
    assert harness.said == []
    await session.command(Connect())
    session._media.consent.stop_clock()
    session.on_time(float("inf"))
    assert harness.said[-1] == Alive(state=State.CONNECTING)


@with_sessions
async def test_a_late_token_is_asked_for_over_the_control_connection(harness: SessionHarness):
    session = await active_session(harness)
    half_s = harness.settings.consent_timeout_s / 2
    session.on_time(time.monotonic() + half_s - 1)
    assert not isinstance(harness.said[-1], Notice)
    session.on_time(time.monotonic() + half_s)
    notice = harness.said[-1]
    assert isinstance(notice, Notice)
    assert (notice.code, notice.state) == (TOKEN_LATE, State.ACTIVE)
    assert notice.message.startswith(f"no datagram with the token has come for {half_s:g} s")
    said = len(harness.said)
    session.on_time(time.monotonic() + half_s + 0.1)
    assert len(harness.said) == said, "once"
