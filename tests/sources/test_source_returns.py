"""Sources that vanish and return: clients keep their sessions, and see the source again soon after it is back."""

import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sources.catalogue.clips import AAC, H264, picture, tone
from sources.channel import Channel, over_http, over_udp
from sources.playing import Server, server_of
from support.clients.recorder import Recorder
from support.media.recipes import ff, make
from support.ports import free_port

AWAY_S = 3.0
AGAIN_WITHIN_S = 15.0
"""An address that failed is tried again after 1, 2, 4, 8 and then 10 s, and a live source begins at a keyframe."""


@pytest.fixture(scope="module")
def folder() -> Path:
    """Forty seconds of a channel, and two short films."""
    return make(
        "returns",
        (
            ff(f"{picture(40)} {tone(40)} {H264} {AAC} live.ts"),
            ff(f"{picture(2)} {tone(2)} {H264} {AAC} a.ts"),
            ff(f"{picture(2)} {tone(2)} {H264} {AAC} b.ts"),
        ),
    )


class Returned:
    """What one client saw of a source that was away: how long after its return the first datagram came."""

    def __init__(self, client: Recorder, server: Server, back_s: float | None) -> None:
        self.client, self.log = client, server.log()
        times = [at_s for at_s in client.times_s if back_s is not None and at_s > back_s]
        self.after_s = times[0] - back_s if times and back_s is not None else float("inf")
        self.still_runs = server.process.poll() is None
        self.exit_status = server.end()

    def is_well(self) -> None:
        assert self.still_runs, self.log
        assert self.exit_status == 0
        assert not self.client.closed
        assert self.client.gaps == 0, "the numbers go on where they were"
        assert "Traceback" not in self.log


def comes(client: Recorder, since_s: float) -> bool:
    """Whether a second of stream has come since *since_s*."""
    return sum(at_s > since_s for at_s in client.times_s[-1000:]) > 20 and client.times_s[-1] > since_s + 1


def on_some_port(channel: Channel, stack: contextlib.ExitStack) -> tuple[str, int]:
    """Serve *channel* until *stack* ends; return the address and its port."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError):  # another test was faster
            return stack.enter_context(over_http(channel, port=port)), port


def live_http(folder: Path, _work: Path) -> Returned:
    """The web server dies, with the connections that it has; later it listens again at the same port."""
    channel = Channel(folder / "live.ts")
    with contextlib.ExitStack() as first:
        address, port = on_some_port(channel, first)
        with server_of([address]) as server, Recorder(server.port()) as client:
            client.connect().run(for_s=20, until=lambda one: comes(one, channel.begun_s))
            channel.is_off = True
            first.close()
            client.run(for_s=AWAY_S)
            channel.is_off = False
            with over_http(channel, port=port):
                back_s = time.monotonic()
                client.run(for_s=AGAIN_WITHIN_S, until=lambda one: comes(one, back_s))
                return Returned(client, server, back_s)


def live_udp(folder: Path, _work: Path) -> Returned:
    channel = Channel(folder / "live.ts")
    with (
        over_udp(channel, free_port()) as address,
        server_of([address]) as server,
        Recorder(server.port()) as client,
    ):
        client.connect().run(for_s=20, until=lambda one: comes(one, channel.begun_s))
        channel.is_off = True
        client.run(for_s=AWAY_S)
        channel.is_off = False
        back_s = time.monotonic()
        client.run(for_s=AGAIN_WITHIN_S, until=lambda one: comes(one, back_s))
        return Returned(client, server, back_s)


def file_within_its_round(folder: Path, work: Path) -> Returned:
    """The only film is deleted while it plays, and is there again before it is to be repeated."""
    film = work / "a.ts"
    film.write_bytes((folder / "a.ts").read_bytes())
    with server_of([str(film)]) as server, Recorder(server.port()) as client:
        client.connect().run(for_s=0.3)
        film.unlink()
        client.run(for_s=0.2)
        film.write_bytes((folder / "a.ts").read_bytes())
        back_s = time.monotonic()
        client.run(for_s=10, until=lambda one: one.stream_s > 5)
        return Returned(client, server, back_s)


def file_of_two(folder: Path, work: Path) -> Returned:
    """One of two films is away for a round: the other one plays, and it is played again in a later round."""
    film = work / "a.ts"
    film.write_bytes((folder / "a.ts").read_bytes())
    with server_of([str(film), str(folder / "b.ts")]) as server, Recorder(server.port()) as client:
        client.connect().run(for_s=0.3)
        film.unlink()
        client.run(for_s=15, until=lambda one: one.counts.get("failed_items", 0) > 0)
        assert client.counts["failed_items"], server.log()
        film.write_bytes((folder / "a.ts").read_bytes())
        back_s, read = time.monotonic(), server.log().count("reading a.ts")
        client.run(for_s=10, until=lambda _: server.log().count("reading a.ts") > read)
        assert server.log().count("reading a.ts") > read
        return Returned(client, server, back_s)


CASES: dict[str, Callable[[Path, Path], Returned]] = {
    "web server": live_http,
    "UDP sender": live_udp,
    "the only film": file_within_its_round,
    "one of two films": file_of_two,
}


@pytest.fixture(scope="module")
def results(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "concurrent.futures.Future[Returned]"]]:
    with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
        yield {name: pool.submit(case, folder, tmp_path_factory.mktemp("work")) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_source_that_was_away_plays_again_in_the_same_sessions(name, results, record_property):
    returned = results[name].result()
    returned.is_well()
    assert returned.after_s < AGAIN_WITHIN_S, returned.log
    if "film" not in name:
        record_property("measured", f"{name} away for {AWAY_S:g} s: again {returned.after_s:.1f} s after its return")
