"""Players that send random requests, legal or not, over UDP and on the connection.

Their datagrams are not read: the capture at the server's interface is judged.
"""

import contextlib
import time
from random import Random

from support.clients.rtsp_client import RtspClient
from support.clients.rtsp_reading import packet
from support.namespaces import SERVER_ADDRESS, WirePair

METHODS = ("SETUP", "PLAY", "PAUSE", "TEARDOWN", "OPTIONS", "DESCRIBE", "GET_PARAMETER", "ANNOUNCE")


def player(pair: WirePair, number: int, port: int) -> RtspClient:
    """Return a connected player of client *number*."""
    control, media = pair.sockets(number)
    control.setblocking(True)
    return RtspClient(port, host=SERVER_ADDRESS, connection=control, media=media)


def pause_s(random: Random) -> float:
    """Return a pause that is often 0 and at most 0.3 s."""
    return random.choice((0.0, 0.002, random.uniform(0, 0.3), random.uniform(0, 0.3)))


def play_random_sequence(pair: WirePair, number: int, port: int, random: Random) -> None:
    """Open a connection, send random requests with pauses between them, and leave in a random manner."""
    client = player(pair, number, port)
    manner = random.choice(("teardown", "close", "reset", "media_first"))
    over_tcp = random.random() < 0.4
    try:
        for _ in range(random.randint(4, 10)):
            if not _step(client, random, over_tcp=over_tcp):
                break
            time.sleep(pause_s(random))
        if manner == "teardown":
            _ask(client, "TEARDOWN", over_tcp=over_tcp)
        elif manner == "media_first":  # a server that still sends is answered with ICMP port unreachable
            client.media.close()
            time.sleep(0.1)
    finally:
        client.close(reset=manner == "reset")


def _step(client: RtspClient, random: Random, *, over_tcp: bool) -> bool:
    """Send one request or several; return whether the server is still there."""
    kind = random.random()
    if client.session is None or kind < 0.1:
        return _ask(client, "SETUP", over_tcp=over_tcp)
    if kind < 0.6:
        return _ask(client, random.choice(("PLAY", "PAUSE")), over_tcp=over_tcp)
    if kind < 0.75:
        return _ask(client, *random.choices(METHODS, k=random.randint(2, 3)), over_tcp=over_tcp)
    if kind < 0.85:
        if not over_tcp:
            with contextlib.suppress(OSError):
                client.punch()
        client.send(packet(1, b"\x80\xc9\0\1" + bytes(4)))
        return True
    return _ask(client, random.choice(METHODS), over_tcp=over_tcp)


def _ask(client: RtspClient, *methods: str, over_tcp: bool) -> bool:
    transport = "RTP/AVP/TCP;unicast;interleaved=0-1" if over_tcp else client.udp
    client.send(*(client.request(method, f"Transport: {transport}") for method in methods))
    for method in methods:
        response = client.response()
        client.frames.clear()
        if response is None:
            return False
        if method == "SETUP" and response.status == 200:
            client.session = response.headers["session"].partition(";")[0]
        elif method == "TEARDOWN" and response.status == 200:
            client.session = None
    return True
