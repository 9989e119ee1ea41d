"""Measures flume's server while all its clients are interrupted: it should send nothing and take no CPU time."""

import time

import msgspec

from bench.measure import CellSetup
from bench.network import BenchNetwork
from bench.process import usage
from bench.senders import Sender
from bench.sink import Sink
from bench.values import BenchError, Cell

IDLE_S = 5.0
_QUIET_S = 1.0


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """*clients* were connected and interrupted for :data:`IDLE_S`; their tokens were repeated meanwhile."""

    clients: int
    core_percent: float = 0.0
    datagrams: int = 0
    failure: str | None = None


def measure_idle(network: BenchNetwork, sender: Sender, cell: Cell) -> Idle:
    """Interrupt all clients of *cell*; measure the server's CPU time and count the datagrams at their sockets."""
    try:
        with CellSetup(network, sender, cell) as setup:
            assert setup.sessions is not None
            for client in setup.sessions.clients:
                client.ask("interrupt")
            with Sink(setup.media, samples=0, deadline_s=_QUIET_S + IDLE_S + 10) as sink:
                begin_ns = time.time_ns() + round(_QUIET_S * 1e9)
                end_ns = begin_ns + round(IDLE_S * 1e9)
                sink.set_window(begin_ns, end_ns)
                setup.wait(begin_ns)
                before = usage(setup.process.pid)
                setup.wait(end_ns)
                after = usage(setup.process.pid)
                sink.wait_until_drained()
                datagrams = sum(count.datagrams for count in sink.counts())
    except (BenchError, OSError, AssertionError) as error:
        return Idle(clients=cell.clients, failure=str(error) or repr(error))
    share = (after.cpu_ns - before.cpu_ns) / (after.time_ns - before.time_ns)
    return Idle(clients=cell.clients, core_percent=share * 100, datagrams=datagrams)
