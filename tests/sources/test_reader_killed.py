"""The reader's process is killed, crashes or is stopped during a stream with five clients."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.catalogue.clips import H264, picture, tone
from sources.playing import Server, server_of
from support.clients.recorder import Recorder
from support.media.decoding import decode, decode_ts
from support.media.recipes import ff, make

CLIENTS = 5
NEXT_ITEM_S = 2.0
"""The next item plays within this time."""

BUSY = "-c:v mpeg2video -q:v 1 -g 12 -vf noise=alls=90:allf=t -c:a mp2"
"""About 25 Mbit/s: more than the server and the pipe hold, so that the reader is still at work on it."""


@pytest.fixture(scope="module")
def folder() -> Path:
    """A film that keeps the reader busy, and a short one."""
    return make(
        "killed",
        (
            ff(f"{picture(8, size='320x180')} {tone(8)} {BUSY} busy.ts"),
            ff(f"{picture(2, size='320x180')} {tone(2)} -c:v mpeg2video -b:v 600k -g 12 -c:a mp2 next.ts"),
            ff(f"{picture(2)} {tone(2)} {H264} -c:a aac b.mp4"),
            ff(f"{picture(3)} {tone(3)} {H264} -c:a aac c.mp4"),
        ),
    )


class Audience:
    """Five clients, each in a thread of its own, until :meth:`leave`."""

    def __init__(self, port: int) -> None:
        self._stack = contextlib.ExitStack()
        self.clients = [self._stack.enter_context(Recorder(port)).connect() for _ in range(CLIENTS)]
        self._left = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(client,)) for client in self.clients]
        for thread in self._threads:
            thread.start()

    def _watch(self, client: Recorder) -> None:
        client.run(for_s=60, until=lambda _: self._left.is_set())

    def leave(self) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join(10)
        self._stack.close()

    def turned_out(self) -> int:
        return sum(client.closed for client in self.clients)

    def waits(self, condition: str, *, for_s: float, least: int = 1) -> None:
        """Wait until the first client's ``status`` counts *condition* so often."""
        deadline_s = time.monotonic() + for_s
        while time.monotonic() < deadline_s:
            if self.clients[0].counts.get(condition, 0) >= least:
                return
            time.sleep(0.05)
        raise AssertionError(f"no {condition} in status within {for_s:g} s: {self.clients[0].counts}")

    def receives(self, stream_s: float, *, for_s: float) -> None:
        """Wait until each client has received *stream_s* more seconds of the stream."""
        wanted = [client.stream_s + stream_s for client in self.clients]
        deadline_s = time.monotonic() + for_s
        while any(client.stream_s < least for client, least in zip(self.clients, wanted, strict=True)):
            assert time.monotonic() < deadline_s, f"{stream_s:g} s of stream did not come within {for_s:g} s"
            time.sleep(0.05)


@contextlib.contextmanager
def audience(server: Server) -> Iterator[Audience]:
    watching = Audience(server.port())
    try:
        yield watching
    finally:
        watching.leave()


def lives(number: int) -> bool:
    """Whether the process exists, and is not merely waiting for its parent."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def reader_at_work(server: Server) -> int:
    """Return the reader that plays: of two, the one that has used the CPU."""
    deadline_s = time.monotonic() + 5
    while not (found := server.children()) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert found, "the server has no reader process"
    return max(found, key=lambda number: sum(map(int, Path(f"/proc/{number}/stat").read_text().split()[13:15])))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV], ids=lambda one: one.name)
def test_five_clients_stay_and_the_next_item_plays(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    with server_of(["busy.ts", "next.ts"], cwd=folder) as server, audience(server) as watching:
        time.sleep(2.0)
        victim = reader_at_work(server)
        os.kill(victim, number)
        killed_s = time.monotonic()
        watching.waits("reader_restarts", for_s=4)
        watching.receives(3.0, for_s=20)
        assert watching.turned_out() == 0
        counts = watching.clients[0].counts
        assert (counts["failed_items"], counts["reader_restarts"]) == (1, 1)
        assert f"busy.ts is skipped: the reader's process was {'stopped' if number == signal.SIGSTOP else 'ended'}" in (
            server.log()
        )
        for client in watching.clients:
            told = [event["message"] for event in client.events if event.get("code") == "item_failed"]
            assert len(told) == 1, "each client is told"
            assert told[0].startswith("busy.ts: the reader's process was ")
        assert server.end(timeout_s=3) == 0
    own = {one.checksum for one in decode(folder / "next.ts").pictures}
    for index, client in enumerate(watching.clients):
        assert client.gaps == 0
        pauses = [later - earlier for earlier, later in zip(client.times_s, client.times_s[1:], strict=False)]
        after = [time_s for time_s in client.times_s if time_s > killed_s]
        assert after
        assert max(pauses) < NEXT_ITEM_S, "the next item begins in time"
        path = tmp_path / f"{index}.ts"
        path.write_bytes(client.data)
        assert own <= {one.checksum for one in decode_ts(path).pictures}, "all of the next item arrives"
    assert not lives(victim)


def test_a_reader_that_dies_between_items_costs_none(folder: Path, tmp_path: Path) -> None:
    """What was read before it died is played to its end, and so is the next item."""
    with server_of(["c.mp4", "b.mp4"], "--once", cwd=folder) as server, Recorder(server.port()) as client:
        client.connect()
        client.run(for_s=0.8)  # all of a small film has been read by now
        os.kill(reader_at_work(server), signal.SIGKILL)
        client.run(for_s=20)
        assert client.closed
        server.process.wait(5)
    path = tmp_path / "out.ts"
    path.write_bytes(client.data)
    promised = [one.checksum for name in ("c.mp4", "b.mp4") for one in decode(folder / name).pictures]
    assert [one.checksum for one in decode_ts(path).pictures] == promised


def test_a_reader_that_is_killed_again_and_again_costs_items_and_nothing_grows(folder: Path) -> None:
    with server_of(["busy.ts", "next.ts"], cwd=folder) as server, audience(server) as watching:
        first: list[tuple[int, int]] = []
        for kills in range(1, 6):
            time.sleep(1.2)  # the item after the one that was killed plays
            os.kill(reader_at_work(server), signal.SIGKILL)
            watching.waits("reader_restarts", for_s=5, least=kills)
            first.append(resources(server))
        time.sleep(1.0)
        before, after = first[0], resources(server)
        assert watching.turned_out() == 0
        assert after[0] <= before[0] + 2, f"descriptors: {before} → {after}"
        assert after[1] <= before[1] + 1, f"threads: {before} → {after}"
        assert len(server.children()) <= 2
        assert "Traceback" not in server.log()
        assert server.end(timeout_s=3) == 0


def resources(server: Server) -> tuple[int, int]:
    """Return how many descriptors and threads the server has."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def test_sigterm_ends_a_server_whose_reader_is_stopped(folder: Path) -> None:
    with server_of(["busy.ts"], cwd=folder) as server, audience(server):
        time.sleep(1.0)
        readers = server.children()
        os.kill(reader_at_work(server), signal.SIGSTOP)
        begun_s = time.monotonic()
        assert server.end(timeout_s=5) == 0
        assert time.monotonic() - begun_s < 2.0
        time.sleep(0.2)
        assert not [number for number in readers if lives(number)]


def test_a_server_that_is_killed_takes_its_reader_with_it(folder: Path) -> None:
    with server_of(["busy.ts"], cwd=folder) as server:
        server.port()
        readers = server.children()
        assert readers
        server.process.kill()
        server.process.wait(5)
        time.sleep(0.5)
        assert not [number for number in readers if lives(number)]
