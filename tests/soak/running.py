"""Runs a server under load for a time, and says line by line what is seen: one slice of a soak."""

import asyncio
import contextlib
import datetime as dt
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

from bench.network import remove_stale
from soak.client import SoakClient, Until, consent_always, live
from soak.measures import Sample, sample
from soak.slices import End, Slice, Start
from sources.catalogue.clips import film
from support.media.recipes import make
from support.namespaces import SERVER_ADDRESS, WirePair
from support.paths import ROOT
from support.servers.program import ENVIRONMENT

PORT = 5004
STEM = "flume-soak"
LIFE_S = 60.0
"""How long a connection of a client lives; the next one follows at once."""

SAMPLE_S = 5.0
LOSS = 0.03
"""Share of the datagrams that are lost on the path, each way."""


@contextlib.contextmanager
def lossy_server(pair: WirePair, program: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run *program* in the server's namespace; its UDP datagrams get lost now and then, both ways."""
    for host in (pair.server, pair.client):  # where they arrive: a drop at the sender is an error of its call
        rule = ("-p", "udp", "-m", "statistic", "--mode", "random", "--probability", str(LOSS), "-j", "DROP")
        subprocess.run(pair.inside(host, "iptables", "-A", "INPUT", *rule), check=True, timeout=20)
    environment = ENVIRONMENT | {"MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(
        pair.inside(pair.server, "setpriv", "--pdeathsig", "KILL", *program),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches only the soak, which then lets its clients leave
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


def revision() -> str:
    """Return what git calls this checkout; empty where it is none."""
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip()


def run(
    seconds: float,
    *,
    clients: int = 100,
    seed: int = 1,
    wanted_s: float | None = None,
    say: Callable[[str], None] = print,
    keep: Callable[[Start | Sample | End], None] = lambda _: None,
    program: Sequence[str] | None = None,
) -> Slice:
    """Load the server, or *program* in its place, for *seconds*, or until SIGINT or SIGTERM.

    *keep* gets each line of the slice as soon as it is known, *say* a line of progress each minute.
    """
    start = Start(
        began=dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds"),
        wanted_s=seconds if wanted_s is None else wanted_s,
        clients=clients,
        seed=seed,
        loss=LOSS,
        revision=revision(),
    )
    remove_stale(STEM)
    with WirePair(clients=clients + 1, stem=STEM) as pair:
        load, failure = Load(pair, start, say, keep), ""
        with lossy_server(pair, program or serving()) as server:
            keep(start)
            try:
                asyncio.run(load.run(server, seconds))
            except (AssertionError, OSError) as error:
                failure = f"{type(error).__name__}: {error}"
        counts = dict(sorted(load.counts.items()))
        end = End(seconds=round(load.lasted_s, 3), counts=counts, status=server.returncode, failure=failure)
        keep(end)
        return Slice(start, load.samples, end)


class Load:
    """The clients of one slice, and one that watches all the time."""

    def __init__(
        self,
        pair: WirePair,
        start: Start,
        say: Callable[[str], None],
        keep: Callable[[Sample], None],
    ) -> None:
        """Begin nothing."""
        self._pair, self._start, self._say, self._keep = pair, start, say, keep
        self.counts: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.lasted_s = 0.0

    async def run(self, server: subprocess.Popen[bytes], seconds: float) -> None:
        """Load *server* for *seconds*, or until a signal."""
        watcher = await _connected(lambda: self._client(self._start.clients))
        try:
            await self._run(server, watcher, seconds)
        finally:
            await watcher.close()

    async def _run(self, server: subprocess.Popen[bytes], watcher: SoakClient, seconds: float) -> None:
        began_s = time.monotonic()
        until = Until(began_s + seconds)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, until.end_now)
        lives = [asyncio.create_task(self._lives(number, until)) for number in range(self._start.clients)]
        for task in lives:  # the first failure is enough to say: the others follow from it
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        listening = [asyncio.create_task(watcher.listen()), asyncio.create_task(consent_always(watcher))]
        await watcher.command("connect")
        interval_s = min(SAMPLE_S, max(0.2, seconds / 60))
        while not until.over:
            time_s, ahead_ms = time.monotonic() - began_s, watcher.take_ahead_ms()
            status = await watcher.command("status")  # after the look: it counts each stall that was seen
            stalls = int(status["server"]["source_counts"].get("stalls", 0)) if status else 0
            self._look(server, lives, time_s, ahead_ms=ahead_ms, stalls=stalls)
            await until.sleep(interval_s)
        self.lasted_s = time.monotonic() - began_s
        await asyncio.gather(*lives)
        await watcher.command("disconnect")
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    def _client(self, number: int) -> SoakClient:
        return SoakClient(self._pair, number, PORT, self.counts)

    async def _lives(self, number: int, until: Until) -> None:
        random = Random(self._start.seed * 1000 + number)
        await until.sleep(random.uniform(0, 3))
        while not until.over and until.end_s - time.monotonic() > 1:
            await live(self._client(number), random, until=until, life_s=random.uniform(0.2, 1.8) * LIFE_S)

    def _look(
        self,
        server: subprocess.Popen[bytes],
        lives: Sequence[asyncio.Task[None]],
        time_s: float,
        *,
        ahead_ms: float | None,
        stalls: int,
    ) -> None:
        """Take a sample. Raises what ended a client, or that the server has ended."""
        self.lasted_s = time_s
        assert server.poll() is None, f"the server has ended with {server.returncode}"
        for task in lives:
            if task.done() and not task.cancelled():
                task.result()
        used = resource.getrusage(resource.RUSAGE_SELF)
        taken = sample(
            server.pid,
            time_s,
            ahead_ms=ahead_ms,
            clients_cpu_s=used.ru_utime + used.ru_stime,
            counts=dict(self.counts),
            stalls=stalls,
        )
        before_s = self.samples[-1].time_s if self.samples else 0.0
        self.samples.append(taken)
        self._keep(taken)
        if time_s // 60 > before_s // 60:
            self._say(f"{time_s:.0f} s: {taken.memory_mib:.1f} MiB, {taken.counts}")


async def _connected(make_client: Callable[[], SoakClient]) -> SoakClient:
    """Return a client whose connection is open, as soon as the server listens."""
    until_s = time.monotonic() + 30
    while True:
        client = make_client()
        try:
            await client.open()
        except ConnectionError:
            assert time.monotonic() < until_s, "the server did not start within 30 s"
            await asyncio.sleep(0.1)
        else:
            return client
