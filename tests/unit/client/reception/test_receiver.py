"""What the media socket still holds: when the end of a window is said, and when one round was not enough."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from flume.client.reception.receiver import DRAIN_AT_ONCE, Chain, Receiver, StreamSession
from flume.media import rtp
from flume.server.relay.order import UpstreamOrder
from flume.server.relay.supply import RelaySupply
from flume.settings import ClientSettings

SSRC = 7
PAYLOAD = bytes(1316)


@pytest.mark.parametrize(
    "end", [lambda receiver: receiver.abandon_window(), lambda receiver: receiver.end_window(9, 10)]
)
def test_what_is_unread_when_a_window_ends_is_of_that_window(end: Callable[[Receiver], None]):
    supply = RelaySupply(payload_bytes=len(PAYLOAD))
    receiver = Receiver(ClientSettings(host="127.0.0.1"), Chain({"rtp": UpstreamOrder()}, supply))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        receiver.begin_session(StreamSession(server.getsockname(), socket.AF_INET, "token", 1.0, "rtp", SSRC))
        receiver.begin_window(0)
        client = receiver.local_address()
        assert client is not None
        for number in range(10):
            server.sendto(rtp.HEADER.pack(*rtp.FIRST_BYTES, number, 0, SSRC) + PAYLOAD, client)
        end(receiver)  # the thread has not looked yet
        receiver.start()
        try:
            until_s = time.monotonic() + 30
            while supply.head_s() is None and time.monotonic() < until_s:
                time.sleep(0.001)
            found = supply.take() or supply.take()  # the first call says that a stream begins
            assert len(found) == 10
        finally:
            receiver.close()


def test_nothing_is_waited_for_while_the_socket_may_hold_more(monkeypatch: pytest.MonkeyPatch):
    supply = RelaySupply(payload_bytes=len(PAYLOAD))
    receiver = Receiver(ClientSettings(host="127.0.0.1"), Chain({"rtp": UpstreamOrder()}, supply))
    read: list[int] = []
    before: list[int] = []
    rounds = iter([DRAIN_AT_ONCE, DRAIN_AT_ONCE, 3])

    def read_untrusted(*, most: int) -> Iterator[bytes]:
        count = min(most, next(rounds, 0))
        read.append(count)
        yield from [b""] * count

    monkeypatch.setattr(receiver._media, "read_untrusted", read_untrusted)
    monkeypatch.setattr(supply, "gather", lambda _wait: before.append(len(read)))
    receiver.start()
    try:
        until_s = time.monotonic() + 30
        while len(before) < 3 and time.monotonic() < until_s:
            time.sleep(0.001)
    finally:
        receiver.close()
    assert before[:3] == [0, 3, 4], "two full rounds are followed by another one at once"
