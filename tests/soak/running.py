"""Runs a server under load for a time and returns what was seen."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from soak.client import SoakClient, consent_always, live
from soak.measures import Sample, Slope, drift_ms, sample, slope
from sources.catalogue.clips import film
from support.media.recipes import make
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.program import ENVIRONMENT

PORT = 5004
LIFE_S = 60.0
"""How long a connection of a client lives; the next one follows at once."""

SETTLE_SHARE = 0.2
"""Share of the time at the beginning that is not measured: caches fill."""

LOSS = 0.03
"""Share of the datagrams that are lost on the path, each way."""


class Soak(NamedTuple):
    """What was seen. *drift_ms*: how much the stream was ahead of the wall clock at the end, counted from the start."""

    seconds: float
    clients: int
    counts: dict[str, int]
    memory_mib: Slope
    threads: Slope
    descriptors: Slope
    drift_ms: float
    samples: list[Sample]

    def faults(self) -> list[str]:
        """Return what is wrong, each in one line."""
        hours = self.seconds / 3600
        found = [f"{self.counts['leaked']} datagrams leaked"] if self.counts.get("leaked") else []
        for name in ("memory_mib", "threads", "descriptors"):
            measured: Slope = getattr(self, name)
            if measured.grows(hours):
                found.append(f"{name} grows by {measured.an_hour:.2f} ± {measured.plus_minus:.2f} an hour")
        if abs(self.drift_ms) > 100:
            found.append(f"the stream is {self.drift_ms:.0f} ms off the wall clock")
        if not self.counts.get("datagrams"):
            found.append("no client received anything")
        return found


@contextlib.contextmanager
def lossy_server(pair: WirePair, program: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run *program* in the server's namespace; its UDP datagrams get lost now and then, both ways."""
    for host in (pair.server, pair.client):  # where they arrive: a drop at the sender is an error of its call
        rule = ("-p", "udp", "-m", "statistic", "--mode", "random", "--probability", str(LOSS), "-j", "DROP")
        subprocess.run(pair.inside(host, "iptables", "-A", "INPUT", *rule), check=True, timeout=20)
    environment = ENVIRONMENT | {"MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(
        pair.inside(pair.server, *program), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def serving() -> list[str]:
    """Return the command line of the server under test: a film of ten seconds in a loop."""
    folder = make("soak", (film(seconds=10),))
    return [
        *(sys.executable, "-c", "from flume.cli import main; main()"),
        *("serve", str(folder / "film.mp4"), "--host", SERVER_ADDRESS, "--port", str(PORT)),
    ]


def run(
    seconds: float,
    *,
    clients: int = 100,
    seed: int = 1,
    say: Callable[[str], None] = print,
    program: Sequence[str] | None = None,
) -> Soak:
    """Load the server, or *program* in its place, for *seconds*; *say* gets a line of progress each minute."""
    with WirePair(clients=clients + 1) as pair, lossy_server(pair, program or serving()) as server:
        return asyncio.run(_load(pair, server, seconds, clients=clients, seed=seed, say=say))


async def _load(
    pair: WirePair,
    server: subprocess.Popen[bytes],
    seconds: float,
    *,
    clients: int,
    seed: int,
    say: Callable[[str], None],
) -> Soak:
    counts: Counter[str] = Counter()
    samples: list[Sample] = []
    watcher = await _connected(lambda: SoakClient(pair, clients, PORT, counts))
    began_s = time.monotonic()
    until_s = began_s + seconds

    async def lives(number: int) -> None:
        random = Random(seed * 1000 + number)
        await asyncio.sleep(random.uniform(0, 3))
        while time.monotonic() < until_s - 1:
            end_s = min(until_s, time.monotonic() + random.uniform(0.2, 1.8) * LIFE_S)
            await live(SoakClient(pair, number, PORT, counts), random, until_s=end_s)

    tasks = [asyncio.create_task(lives(number)) for number in range(clients)]
    listening = [asyncio.create_task(watcher.listen()), asyncio.create_task(consent_always(watcher))]
    await watcher.command("connect")
    said_s = began_s
    while (now_s := time.monotonic()) < until_s:
        assert server.poll() is None, "the server has ended"
        samples.append(sample(server.pid, now_s - began_s, ahead_ms=watcher.ahead_ms))
        if now_s - said_s >= 60:
            said_s = now_s
            say(f"{now_s - began_s:.0f} s: {samples[-1].memory_mib:.1f} MiB, {dict(counts)}")
        await asyncio.sleep(min(5.0, max(0.2, seconds / 60)))
    await asyncio.gather(*tasks)
    await watcher.command("disconnect")
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await watcher.close()
    assert watcher.ahead_ms is not None, "the watching client received nothing"
    measured = [one for one in samples if one.time_s > SETTLE_SHARE * seconds]
    times_s = [one.time_s for one in measured]
    return Soak(
        seconds=round(seconds, 1),
        clients=clients,
        counts=dict(sorted(counts.items())),
        memory_mib=slope(times_s, [one.memory_mib for one in measured]),
        threads=slope(times_s, [one.threads for one in measured]),
        descriptors=slope(times_s, [one.descriptors for one in measured]),
        drift_ms=round(drift_ms(measured), 1),
        samples=samples,
    )


async def _connected(make_client: Callable[[], SoakClient]) -> SoakClient:
    """Return a client whose connection is open, as soon as the server listens."""
    until_s = time.monotonic() + 30
    while True:
        client = make_client()
        try:
            await client.open()
        except ConnectionError:
            assert time.monotonic() < until_s, "the server did not start within 30 s"
            client.close_sockets()
            await asyncio.sleep(0.1)
        else:
            return client
