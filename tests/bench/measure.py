"""Measures one cell: sets up network, clients and sender, opens a window, and computes the figures."""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench import analysis, clips
from bench.clients import MediaSockets, Sessions, wait_until
from bench.clips import Clip
from bench.destinations import format_listing
from bench.network import MEDIA_PORT, SAMPLE_CLIENTS, BenchNetwork, client_addresses, dead_addresses
from bench.players import PlayerSessions
from bench.process import SenderProcess, Usage, machine_busy_s, usage
from bench.senders import Sender, Work
from bench.sink import Sink
from bench.values import BenchError, Cell, Outcome
from support.paths import ROOT

START_TIMEOUT_S = 10.0
"""Time in which all of flume's clients must join."""

REACH_TIMEOUT_S, LEAST_REACHED = 6.0, 0.5
"""A sender that has not reached half of the clients by then has failed. Clients that it has not reached by then still
count as clients."""

SETTLE_S = 1.5
LEAD_NS = 30_000_000
"""The sink gets the window this long before it begins."""

LOOK_S = 0.1


class _Snapshot(msgspec.Struct, frozen=True):
    """All counters, read at one edge of the window."""

    usage: Usage
    machine_s: float
    ours_s: float
    """CPU seconds of the bench itself and its sink."""
    packets: int
    bytes: int
    wire_ns: int
    sink_drops: int


def environment() -> dict[str, str]:
    """Return the environment of the senders: this checkout's code and our PATH, LANG and LD_LIBRARY_PATH."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
    path = f"{ROOT / 'services'}:{ROOT / 'tests'}"
    return kept | {"PYTHONPATH": path, "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"}


class CellSetup:
    """One cell, set up: the sender runs and its clients are connected. Use ``with``. All measurements share it."""

    def __init__(self, network: BenchNetwork, sender: Sender, cell: Cell) -> None:
        """Start nothing; ``with`` starts sender and clients."""
        self.network, self.sender, self.cell = network, sender, cell
        self._stack = contextlib.ExitStack()
        self.sessions: Sessions | None = None
        self.players: PlayerSessions | None = None
        """Instead of sessions of our own clients."""
        self.media: list[socket.socket] = []

    def __enter__(self) -> "CellSetup":
        with self._stack:
            self._enter()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def samples(self) -> int:
        """How many clients are samples: the sink reads the content of their datagrams."""
        return min(SAMPLE_CLIENTS, self.cell.clients)

    def _enter(self) -> None:
        cell = self.cell
        self.network.prepare(wire=cell.path == "wire", offload=cell.offload)
        live, dead = client_addresses(cell.clients), dead_addresses(cell.dead)
        if not self.sender.sessions:
            # Datagrams dropped on the wire need no socket.
            bound = live[: self.samples] if cell.path == "wire" else live
            self.media = self._stack.enter_context(MediaSockets(self.network, bound))
        self.process = self._stack.enter_context(self._start(clip_of(cell.rate_mbit), [*dead, *live]))
        if self.sender.sessions:
            self._join(live, dead)

    def _start(self, clip: Clip, addresses: Sequence[str]) -> SenderProcess:
        destinations = [(address, MEDIA_PORT) for address in addresses]
        listing = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "destinations"
        listing.write_text(format_listing(destinations))
        opened = os.open(clip.path, os.O_RDONLY)
        self._stack.callback(os.close, opened)
        work = Work(
            clip=clip,
            # The sender's user may lack permission for a folder on the clip's path. The open descriptor needs none.
            clip_path=Path(f"/proc/self/fd/{opened}") if self.sender.user else clip.path,
            destinations=destinations,
            listing=listing,
            tick_ms=self.cell.tick_ms,
            batch=self.cell.batch,
        )
        command = self.network.server_command(*self.sender.command(work), user=self.sender.user)
        return SenderProcess(command, environment=environment(), pass_fds=(opened,))

    def _join(self, live: list[str], dead: list[str]) -> None:
        """Connect the clients of flume's server: first the dead ones, which then lose their addresses."""
        if dead:
            self.network.add_addresses(dead)
            self._stack.callback(self._remove_dead, dead)
        self._dead = self._stack.enter_context(Sessions(self.network, dead, timeout_s=START_TIMEOUT_S))
        if self.sender.is_rtsp:
            self.players = PlayerSessions(self.network, live, timeout_s=START_TIMEOUT_S)
            media = self._stack.enter_context(self.players).media
        else:
            self.sessions = Sessions(self.network, live, timeout_s=START_TIMEOUT_S)
            media = self._stack.enter_context(self.sessions).media
        self._remove_dead(dead)
        drained = self.samples if self.cell.path == "wire" else len(live)
        self.media = media[:drained]

    def _remove_dead(self, dead: list[str]) -> None:
        """Remove the addresses *dead* and empty the list, so that a second call does nothing."""
        if dead:
            self.network.remove_addresses(dead)
            dead.clear()

    def tend(self) -> None:
        """Repeat the clients' tokens when they are due; raise :class:`BenchError` if the sender has ended."""
        self.process.require_alive()
        for clients in (self.sessions, self.players):
            if clients is not None:
                clients.tend()

    def wait(self, until_ns: int) -> None:
        """Tend the clients until *until_ns* (CLOCK_REALTIME, as the arrival times)."""
        while (left_s := (until_ns - time.time_ns()) / 1e9) > 0:
            self.tend()
            time.sleep(min(left_s, LOOK_S))


_clips: dict[int, Clip] = {}


def clip_of(rate_mbit: int) -> Clip:
    """Return the clip of *rate_mbit*; it is examined once a run."""
    if rate_mbit not in _clips:
        _clips[rate_mbit] = clips.clip(rate_mbit)
    return _clips[rate_mbit]


def measure(network: BenchNetwork, sender: Sender, cell: Cell, *, seconds: float) -> Outcome:
    """Measure *cell* over a window of *seconds*. If the sender fails, the outcome says so; nothing is raised."""
    try:
        with _setup_and_sink(network, sender, cell, seconds) as (setup, sink):
            return _window(setup, sink, seconds)
    except (BenchError, OSError, AssertionError) as error:
        return Outcome(failure=str(error) or repr(error))


@contextlib.contextmanager
def _setup_and_sink(
    network: BenchNetwork, sender: Sender, cell: Cell, seconds: float
) -> Iterator[tuple[CellSetup, Sink]]:
    with CellSetup(network, sender, cell) as setup:
        deadline_s = START_TIMEOUT_S + SETTLE_S + seconds + 20
        with Sink(setup.media, samples=setup.samples, deadline_s=deadline_s) as sink:
            _wait_until_reached(setup, sink)
            setup.wait(time.time_ns() + round(SETTLE_S * 1e9))
            yield setup, sink


def _wait_until_reached(setup: CellSetup, sink: Sink) -> None:
    if wait_until(lambda: all(sink.reached()), timeout_s=REACH_TIMEOUT_S, meanwhile=setup.tend):
        return
    reached = sink.reached()
    if sum(reached) < LEAST_REACHED * len(reached):
        raise BenchError(f"reached {sum(reached)} of {len(reached)} clients within {REACH_TIMEOUT_S:g} s")


def _snapshot(setup: CellSetup, sink: Sink) -> _Snapshot:
    taken = usage(setup.process.pid)
    machine_s = machine_busy_s()
    ours_s = (usage(sink.pid).cpu_ns + usage(os.getpid(), alone=True).cpu_ns) / 1e9
    asked_ns = time.monotonic_ns()
    packets, size = setup.network.dropped()
    # nft reads the counter between its start and its end, most likely in the middle.
    wire_ns = (asked_ns + time.monotonic_ns()) // 2
    return _Snapshot(taken, machine_s, ours_s, packets, size, wire_ns, sink.drops())


def _window(setup: CellSetup, sink: Sink, seconds: float) -> Outcome:
    begin_ns = time.time_ns() + LEAD_NS
    end_ns = begin_ns + round(seconds * 1e9)
    sink.set_window(begin_ns, end_ns)
    setup.wait(begin_ns)
    before = _snapshot(setup, sink)
    setup.wait(end_ns)
    after = _snapshot(setup, sink)
    setup.process.require_alive()
    sink.wait_until_drained()
    counts = sink.counts()
    sink.stop()
    delivered = [count.datagrams / seconds for count in counts]
    dropped_clients = setup.cell.clients - len(counts)
    dropped_per_s = _dropped_per_s(before, after, rtp=setup.sender.rtp)
    each = [*delivered, *([dropped_per_s / dropped_clients] if dropped_clients else [])]
    total_per_s = sum(delivered) + dropped_per_s
    window_s = (after.usage.time_ns - before.usage.time_ns) / 1e9
    cpu_s = (after.usage.cpu_ns - before.usage.cpu_ns) / 1e9
    silence_ns = analysis.largest_silence_ns([(c.silence_ns, c.last_ns) for c in counts], begin_ns, end_ns)
    other_s = (after.machine_s - before.machine_s) - (after.ours_s - before.ours_s) - cpu_s
    lost = after.sink_drops - before.sink_drops
    return Outcome(
        invalid=f"{lost} datagrams arrived and overflowed the sink's buffers" if lost else None,
        window_s=window_s,
        cpu_s=cpu_s,
        cores=cpu_s / window_s,
        cpu_cross_check_cores=(after.usage.cross_check_s - before.usage.cross_check_s) / window_s,
        waited_cores=(after.usage.waited_ns - before.usage.waited_ns) / 1e9 / window_s,
        other_load_cores=max(0.0, other_s / window_s),
        delivered_per_s=total_per_s,
        per_client_per_s=total_per_s / setup.cell.clients,
        worst_client_per_s=min(each),
        cpu_us_per_datagram=cpu_s / window_s / total_per_s * 1e6 if total_per_s else 0.0,
        lateness=analysis.lateness(sink.records()),
        silence_ms=silence_ns / 1e6,
        continuity_errors=sum(count.continuity_errors for count in counts),
        sequence_gaps=sum(count.sequence_gaps for count in counts),
        sink_drops=lost,
        rss_mib=after.usage.rss_bytes / 2**20,
        threads=after.usage.threads,
    )


def _dropped_per_s(before: _Snapshot, after: _Snapshot, *, rtp: bool) -> float:
    """Return the datagrams a second that the rule dropped on the wire."""
    datagrams = analysis.wire_datagrams(after.packets - before.packets, after.bytes - before.bytes, rtp=rtp)
    return datagrams / ((after.wire_ns - before.wire_ns) / 1e9)
