"""What the media socket still holds when the end of a window is said over the control connection."""

import socket
import time
from collections.abc import Callable

import pytest

from flume.client.reception.receiver import Chain, Receiver, StreamSession
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
