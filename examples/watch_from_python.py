"""The client as a library: connect, watch for some seconds, interrupt, and print what arrived.

    .venv/bin/python examples/watch_from_python.py localhost 5004 3

shows the video in a window where there is a screen, and counts its frames where there is none. A fourth argument
chooses: window, headless, or none to count datagrams alone.
"""

import sys
import time

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.client.playback.opening import open_player
from flume.control.messages import Refused
from flume.control.session import State
from flume.settings import ClientSettings


def show(event: ClientEvent) -> None:
    """Print what happens without a command; called from the client's threads."""
    print(f"{event.event}: {event.message or event.milliseconds or event.state}", flush=True)


def main(host: str, port: int, seconds: float, player_kind="auto") -> None:
    """Watch the server at *host* for *seconds*."""
    settings = ClientSettings(host=host, port=port)
    player = open_player(player_kind, network_caching_ms=settings.network_caching_ms)
    with Client(settings, player, on_event=show) as client:
        reply = client.connect()
        if isinstance(reply, Refused) or not client.wait_until_state(State.ACTIVE, timeout_s=10):
            sys.exit(f"no stream: {reply}")
        time.sleep(seconds)
        client.interrupt()
        client.wait_until_drained()
        seen = client.statistics()
        print(f"received {seen.datagrams} datagrams, {seen.lost} lost, jitter {seen.jitter_ms} ms")
        print(f"displayed {seen.player.frames_displayed} frames, the first one after {seen.join_ms} ms")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
