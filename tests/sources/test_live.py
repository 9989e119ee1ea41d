"""F12: what is live is never in the past for viewers, however long nobody watched; and F1 for live channels."""

import concurrent.futures
import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sources.catalogue.clips import AAC, H264, picture, tone
from sources.channel import Channel, over_hls, over_http, over_udp
from sources.playing import Server, server_of
from support.clients.recorder import Recorder
from support.media import surgery
from support.media.decoding import decode, decode_ts
from support.media.recipes import ff, make, py
from support.ports import free_port

ALONE_S = 8.0
"""So long nobody watches."""

WATCH_S = 4.0
FPS = 25

Feed = Callable[[Channel, Path], contextlib.AbstractContextManager[str]]


@dataclasses.dataclass(frozen=True)
class Case:
    """A live source. *age_s*: how old what a viewer sees may be, with what a client's player would add left out."""

    name: str
    feed: Feed
    age_s: float
    options: tuple[str, ...] = ()
    clip: str = "live.ts"
    pictures: bool = True
    watched_before: bool = False
    """Whether a client watched once, before nobody did."""
    known: str = ""
    """Why it fails today."""


@pytest.fixture(scope="module")
def folder() -> Path:
    """Forty seconds of a channel, whose every picture tells its time."""
    return make(
        "live",
        (
            ff(f"{picture(40)} {tone(40)} {H264} {AAC} live.ts"),
            ff("-i live.ts -c copy -f segment -segment_time 1 -segment_format mpegts part%d.ts"),
            ff(f"{tone(40)} {AAC} radio.ts"),
            py(surgery.without_pid, "live.ts", "silent.ts", 0x101, (0.35, 1.0)),
            ff(f"-f lavfi -t 40 -i smptebars=size=160x90:rate=25 {H264} other.ts"),
            ff(
                "-i other.ts -i live.ts -map 0 -map 1 -c copy -program title=other:st=0 -program title=live:st=1:st=2 "
                "two.ts"
            ),
        ),
    )


def http(channel: Channel, folder: Path) -> contextlib.AbstractContextManager[str]:
    return over_http(channel)


def http_with_length(channel: Channel, folder: Path) -> contextlib.AbstractContextManager[str]:
    """A server that announces a length of a terabyte, because its author had to announce one."""
    return over_http(channel, headers=(("Content-Length", str(1 << 40)),))


def udp(channel: Channel, folder: Path) -> contextlib.AbstractContextManager[str]:
    return over_udp(channel, free_port())


CASES = (
    Case("http", http, age_s=3.0),
    Case(
        "http-watched-before",
        http,
        age_s=3.0,
        watched_before=True,
    ),
    Case("http-with-a-length-that-is-told-to-be-live", http_with_length, age_s=3.0, options=("--live",)),
    Case("udp", udp, age_s=3.0),
    Case(
        "udp-watched-before",
        udp,
        age_s=3.0,
        watched_before=True,
    ),
    Case("udp-of-two-programs", udp, age_s=3.0, clip="two.ts", options=("--program", "live")),
    Case("hls", over_hls, age_s=7.0),
    Case("radio", http, age_s=3.0, clip="radio.ts", pictures=False),
    Case("sound-stops", http, age_s=3.0, clip="silent.ts"),
)


@dataclasses.dataclass
class Result:
    """What a viewer received: when the first datagram came, by the channel's clock, and how long after joining."""

    client: Recorder
    joined_s: float
    first_s: float
    connections_alone: int
    peak_mib: float
    log: str
    exit_status: int | str


def play(case: Case, folder: Path) -> Result:
    channel = Channel(folder / case.clip)
    with case.feed(channel, folder) as address, server_of([address], *case.options) as server:
        port = server.port()
        if case.watched_before:
            with Recorder(port) as earlier:
                earlier.connect().run(for_s=3)
        time.sleep(ALONE_S)
        connections = channel.connections
        with Recorder(port) as client:
            joined_s = channel.now_s
            client.connect().run(for_s=WATCH_S + 6, until=lambda one: lasted_s(one) > WATCH_S)
            first_s = client.times_s[0] - channel.begun_s if client.times_s else float("inf")
        return Result(client, joined_s, first_s, connections, server.peak_mib(), server.log(), end(server))


def lasted_s(client: Recorder) -> float:
    return time.monotonic() - client.times_s[0] if client.times_s else 0.0


def end(server: Server) -> int | str:
    return server.end(timeout_s=4)


@pytest.fixture(scope="module")
def results(folder: Path) -> Iterator[dict[str, "concurrent.futures.Future[Result]"]]:
    with concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
        yield {case.name: pool.submit(play, case, folder) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_live_source_is_now(
    case: Case, folder: Path, tmp_path: Path, results: "dict[str, concurrent.futures.Future[Result]]"
) -> None:
    result = results[case.name].result()
    client = result.client
    assert client.payloads, result.log
    assert "Traceback" not in result.log
    assert result.exit_status == 0
    assert result.connections_alone == 0 or "udp" in case.name, "nobody watches, and it is read all the same"
    assert result.first_s - result.joined_s < 5.0, "a picture soon after joining"
    path = tmp_path / "out.ts"
    path.write_bytes(client.data)
    received = decode_ts(path)
    if not case.pictures:
        assert len(received.of("audio")[0].samples) > WATCH_S * 48000 / 1024 * 0.8
        return
    index = {one.checksum: at for at, one in enumerate(decode(folder / "live.ts").pictures)}
    if case.known:
        pytest.xfail(case.known)
    whole = received.pictures[:-8]  # the recording ends in the middle of a picture, on which others depend
    seen = [index.get(one.checksum, -1) for one in whole]
    assert len(seen) > WATCH_S * FPS * 0.5, f"{len(seen)} pictures of the channel; {result.log}"
    assert seen == list(range(seen[0], seen[0] + len(seen))), f"every picture, in order: {seen}"
    age_s = result.first_s - seen[0] / FPS
    assert age_s < case.age_s, f"what is shown first is {age_s:.1f} s old; {result.log}"
    assert result.peak_mib < 500


def test_a_live_source_is_told_in_the_log(
    folder: Path, results: "dict[str, concurrent.futures.Future[Result]]"
) -> None:
    assert re.search(r"reading .*live", results["http"].result().log)
