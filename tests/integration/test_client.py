"""The client against a fake server that misbehaves on demand, and against the real one."""

import socket
import time

import pytest

from flume.client.app import Client
from flume.client.reception.token_timer import QUIET_TOKEN_S
from flume.client.session.control_link import ControlLink
from flume.control import messages
from flume.control.codec import encode
from flume.control.session import State
from flume.errors import NetworkError
from flume.settings import ServerSettings
from support.clients.players import FakePlayer, wait_until
from support.clients.watcher import Watcher, settings
from support.ports import free_port
from support.servers.fake_server import SSRC, TOKEN, FakeServer
from support.servers.running_server import RunningServer


def test_a_pause_is_not_loss_and_a_lost_tail_is() -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()
        server.send(10)
        server.send(5, skip=2)
        wait_until("15 arrived", lambda: watcher.client.statistics().datagrams == 15)
        server.next_sequence += 3  # lost behind the last one that arrives
        reply = watcher.client.interrupt()
        assert isinstance(reply, messages.Interrupted)
        tokens = len(server.tokens)
        wait_until("the token is repeated while interrupted", lambda: len(server.tokens) > tokens + 1)
        server.next_sequence += 70_000  # the numbers go on meanwhile, through more than one cycle
        assert isinstance(watcher.client.continue_(), messages.Continued)
        server.send(20)
        wait_until("the rest arrived", lambda: watcher.client.statistics().datagrams == 35)
        assert isinstance(watcher.client.disconnect(), messages.Disconnected)
        wait_until("all was played", lambda: len(watcher.player.numbers()) == 35)
        seen = watcher.client.statistics()
        assert (seen.lost, seen.unexpected, seen.windows, seen.dropped_by_receiver) == (5, 0, 2, 0)
        assert dict(seen.loss_runs) == {2: 1, 3: 1}
        assert seen.commands == ("connect", "interrupt", "continue", "disconnect")
        assert watcher.player.numbers() == sorted(set(watcher.player.numbers()))


def test_datagrams_of_other_streams_are_counted_and_not_played() -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()
        server.send(3, ssrc=SSRC + 1)
        assert server.client is not None
        server.media.sendto(b"not rtp", server.client)
        server.next_sequence -= 3
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"\x80\x21" + bytes(1326), server.client)  # another address: the kernel refuses it
        server.send(2)
        wait_until("the stream's own arrived", lambda: watcher.client.statistics().datagrams == 2)
        assert watcher.client.statistics().unrelated == 4


def test_a_server_that_says_nothing_is_an_error_with_its_remedy() -> None:
    with (
        FakeServer(silent=True) as server,
        Watcher(server.port, connect_timeout_s=0.3, reconnect=False) as watcher,
        pytest.raises(NetworkError, match=r"did not answer connect within 0\.3 s"),
    ):
        watcher.client.connect()


def test_a_session_that_ends_while_connect_is_answered_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client comes to read the reply to connect only when the server has already ended the session."""
    connected = messages.Connected(
        state=State.CONNECTING,
        token=TOKEN,
        port=9,
        payload="rtp",
        ssrc=SSRC,
        token_interval_ms=200,
        consent_timeout_ms=1000,
    )
    ended = messages.Closed(state=State.CLOSED, code="source_ended", message="it is over", last_sequence=None)
    with (
        FakeServer(reply_to_connect=encode(connected) + encode(ended)) as server,
        Client(settings(server.port), FakePlayer()) as client,
    ):
        connect = client._recovery.connect

        def slowly() -> messages.Reply:
            reply = connect()
            wait_until("the session has ended", lambda: client.was_played_out)
            return reply

        monkeypatch.setattr(client._recovery, "connect", slowly)
        client.connect()
        assert client.is_over


class LeavingServer(FakeServer):
    """Says goodbye to its first client just when the client sends a request."""

    def _answer(self, request: messages.Request) -> None:
        if self.commands:
            super()._answer(request)
            return
        self.commands.append("not read")
        goodbye = "no command for 60 s: goodbye"
        self.say(messages.Refused(state=State.CLOSED, command=None, code="idle", message=goodbye))
        self.hang_up()


def test_a_goodbye_that_crosses_connect_refuses_nothing() -> None:
    """A script that waits for as long as the server does meets this every time."""
    with LeavingServer() as server, Watcher(server.port, reconnect=False) as watcher:
        watcher.connect()
        assert server.commands == ["not read", "connect"]
        assert watcher.client.statistics().reconnects == 0


def test_a_goodbye_that_crosses_status_is_not_its_answer() -> None:
    with LeavingServer() as server, Watcher(server.port, reconnect=False) as watcher:
        assert isinstance(watcher.client.status(), messages.Status)
        assert server.commands == ["not read", "status"]


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"reply":"connect"}\n', b"x" * 9000])
def test_something_else_on_the_port_is_named(garbage: bytes) -> None:
    with FakeServer(reply_to_connect=garbage) as server, Watcher(server.port, reconnect=False) as watcher:
        with pytest.raises(NetworkError, match=r"control connection ended: (the server sent a line|a control line)"):
            watcher.client.connect()
        assert watcher.client.state is State.CLOSED


def test_no_server_is_an_error_with_its_remedy_and_tried_again() -> None:
    port = free_port()
    with Watcher(port) as watcher:
        with pytest.raises(NetworkError, match="is 'flume serve' running there"):
            watcher.client.connect()
        with FakeServer(port=port) as server:
            assert watcher.client.wait_until_state(State.ACTIVE, timeout_s=10)
            server.send(4)
            wait_until("it receives", lambda: watcher.client.statistics().datagrams == 4)
            assert watcher.client.statistics().reconnects == 0


@pytest.mark.parametrize("desired", ["active", "interrupted"])
def test_after_the_server_comes_back_the_desired_state_is_recovered(desired: str) -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()
        server.send(5)
        wait_until("it receives", lambda: watcher.client.statistics().datagrams == 5)
        if desired == "interrupted":
            watcher.client.interrupt()
        server.hang_up()
        wait_until("it was connected again", lambda: watcher.client.statistics().reconnects == 1)
        wait_until("as desired", lambda: watcher.client.state == desired)
        assert "the server closed it" in watcher.messages()
        assert watcher.client.statistics().lost == 0


def test_without_reconnect_it_stays_closed() -> None:
    with FakeServer() as server, Watcher(server.port, reconnect=False) as watcher:
        watcher.connect()
        server.hang_up()
        assert watcher.client.wait_until_state(State.CLOSED, timeout_s=5)
        with pytest.raises(NetworkError, match="there is no connection to the server"):
            watcher.client.interrupt()


def test_the_end_of_the_video_is_reported_and_not_retried() -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()
        server.send(3)
        wait_until("it receives", lambda: watcher.client.statistics().datagrams == 3)
        over = messages.Closed(
            state=State.CLOSED, code="source_ended", message="the video is over: card.ts", last_sequence=65_533
        )
        server.say(over)
        wait_until("the client reports it", lambda: "the video is over" in watcher.messages())
        wait_until("one lost at the end is counted", lambda: watcher.client.statistics().lost == 1)
        assert server.commands == ["connect"]


def test_a_refused_continue_is_not_waited_for() -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()
        server.send(3)
        wait_until("the join is known", lambda: watcher.client.statistics().join_ms)
        assert isinstance(watcher.client.continue_(), messages.Refused)
        server.send(3)
        wait_until("more was played", lambda: len(watcher.player.numbers()) == 6)
        assert watcher.client.statistics().resume_ms is None
        assert [event.command for event in watcher.events if event.event == "first_frame"] == ["connect"]


def test_an_active_stream_that_is_silent_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flume.client.session.watchdog.SILENT_AFTER_S", 0.3)
    monkeypatch.setattr("flume.client.session.supervisor.INTERVAL_S", 0.05)
    with FakeServer() as server, Watcher(server.port) as watcher:
        watcher.connect()  # and no datagram comes, as behind a firewall

        def reported() -> int:
            return sum(event.code == "no_datagrams" for event in watcher.events)

        wait_until("it was reported", reported)
        assert f"does this host's firewall let UDP from 127.0.0.1 port {server.port} in?" in watcher.messages()
        time.sleep(0.2)
        assert reported() == 1
        server.send(1)
        wait_until("again after a datagram", lambda: reported() == 2)
        watcher.client.interrupt()
        time.sleep(0.5)
        assert reported() == 2, "an interrupted stream is silent on purpose"


def test_the_token_comes_again_at_once_while_an_active_stream_is_silent_and_only_then() -> None:
    with FakeServer() as server, Watcher(server.port) as watcher:
        server.token_interval_ms = 60_000
        watcher.connect()
        server.send(3)
        wait_until("it receives", lambda: watcher.client.statistics().datagrams == 3)
        began_s = time.monotonic()
        wait_until("two tokens in the silence", lambda: len(server.tokens) == 3)
        assert 2 * QUIET_TOKEN_S - 0.1 < time.monotonic() - began_s < 2 * QUIET_TOKEN_S + 1
        before = len(server.tokens)
        until_s = time.monotonic() + 3 * QUIET_TOKEN_S
        while time.monotonic() < until_s:
            server.send(1)
            time.sleep(QUIET_TOKEN_S / 10)
        assert len(server.tokens) == before, "a stream that flows needs none"
        assert isinstance(watcher.client.interrupt(), messages.Interrupted)
        time.sleep(2 * QUIET_TOKEN_S)
        assert len(server.tokens) == before, "an interrupted stream is silent on purpose"


def test_tokens_that_are_lost_are_soon_repeated_so_that_loss_is_not_taken_for_a_blocked_path() -> None:
    with RunningServer() as server:
        arrivals = server.server._arrivals
        arrived: list[float] = []
        real = arrivals.on_datagram_untrusted

        def lossy(data: bytes, source: tuple[str, int]) -> None:
            arrived.append(time.monotonic())
            if len(arrived) > 3:
                real(data, source)

        arrivals.on_datagram_untrusted = lossy  # type: ignore[method-assign]
        with Watcher(server.port) as watcher:
            watcher.connect()
            wait_until("it receives", lambda: watcher.client.statistics().datagrams > 20)
            assert watcher.client.statistics().transport == "udp"
    assert arrived[3] - arrived[0] < 2.5


def test_what_failed_is_said_with_what_comes_next() -> None:
    port = free_port()
    with Watcher(port) as watcher:
        with pytest.raises(NetworkError, match=r"; trying to connect again$"):
            watcher.client.connect()
        assert not watcher.client.is_over
        with pytest.raises(NetworkError, match=r"disconnect was not sent: there is no connection to the server$"):
            watcher.client.disconnect()
    with Watcher(port, reconnect=False) as watcher:
        with pytest.raises(NetworkError, match=r"in its firewall\?$"):
            watcher.client.connect()
        assert watcher.client.is_over


def test_an_unknown_name_is_not_taken_for_a_firewall() -> None:
    with (
        Watcher(5004, host="no-such-host.invalid", reconnect=False) as watcher,
        pytest.raises(NetworkError, match=r"the server's name 'no-such-host\.invalid' is not known here"),
    ):
        watcher.client.connect()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
@pytest.mark.parametrize("payload", ["rtp", "ts"])
def test_over_ipv6(host: str, payload: str) -> None:
    with (
        RunningServer(settings=ServerSettings(host="::1", port=0)) as server,
        Watcher(server.port, host=host, payload=payload) as watcher,
    ):
        watcher.connect()
        wait_until("a second of stream", lambda: watcher.client.statistics().datagrams > 100)
        reply = watcher.client.disconnect()
        assert isinstance(reply, messages.Disconnected)
        wait_until("all that was sent", lambda: watcher.client.statistics().datagrams == reply.datagrams)
        seen = watcher.client.statistics()
        assert (seen.address, seen.server, seen.lost) == ("::1", f"[::1]:{server.port}", 0)


def test_a_silent_server_is_noticed() -> None:
    lost: list[str] = []
    with FakeServer() as server:
        link = ControlLink.open(
            "127.0.0.1",
            server.port,
            timeout_s=2,
            on_message=lambda _message: None,
            on_lost=lambda _link, reason: lost.append(reason),
            silence_s=0.6,
        )
        link.request(messages.Connect(), timeout_s=2)
        link.expects_alive = True
        wait_until("silence was noticed", lambda: lost == ["the server was silent for 0.6 s"])
        link.close()


@pytest.mark.parametrize("payload", ["rtp", "ts"])
def test_the_real_server_s_stream_arrives_whole(payload: str) -> None:
    with RunningServer() as server, Watcher(server.port, payload=payload) as watcher:
        watcher.connect()
        wait_until("a second of stream", lambda: watcher.client.statistics().datagrams > 100)
        first = watcher.client.interrupt()
        watcher.client.continue_()
        wait_until("more", lambda: watcher.client.statistics().datagrams > 200)
        second = watcher.client.disconnect()
        assert isinstance(first, messages.Interrupted)
        assert isinstance(second, messages.Disconnected)
        sent = first.datagrams + second.datagrams
        wait_until("all that was sent", lambda: watcher.client.statistics().datagrams == sent)
        wait_until("was played", lambda: sum(len(p) == 1316 for p in watcher.player.payloads) == sent)
        seen = watcher.client.statistics()
        assert (seen.lost, seen.unexpected, seen.duplicates, seen.windows) == (0, 0, 0, 2)
        assert seen.join_ms is not None


def test_a_restarted_server_is_found_again() -> None:
    settings = ServerSettings(host="127.0.0.1", port=free_port())
    with RunningServer(settings=settings) as server, Watcher(server.port) as watcher:
        watcher.connect()
        wait_until("it receives", lambda: watcher.client.statistics().datagrams > 20)
        server.stop()
        wait_until("the client reports it", lambda: "shutting down" in watcher.messages())
        with RunningServer(settings=settings):
            before = watcher.client.statistics().datagrams
            wait_until("it receives again", lambda: watcher.client.statistics().datagrams > before + 20)
            assert watcher.client.statistics().reconnects == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_client_whose_host_slept_begins_another_session_at_once(transport: str) -> None:
    """The connection is there as it was: on this host no time has passed, and what the server said has gone by."""
    with RunningServer() as server, Watcher(server.port, transport=transport) as watcher:
        watcher.connect()
        wait_until("it receives", lambda: watcher.client.statistics().datagrams > 20)
        watcher.client._supervisor._watchdog._network._read_asleep_s = lambda: 3600.0
        wait_until("another session", lambda: watcher.client.statistics().reconnects == 1)
        before = watcher.client.statistics().datagrams
        wait_until("it receives again", lambda: watcher.client.statistics().datagrams > before + 20)
        assert "this host slept for 3600 s, in which the server got no token" in watcher.messages()
        assert watcher.client.statistics().transport == transport
