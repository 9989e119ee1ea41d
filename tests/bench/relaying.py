"""``python -m bench.relaying``: what a relay costs a client beside the server that it takes its stream from.

The server plays a clip; the relay is one of its clients. Both have as many clients of their own, on loopback, which one
C program drains, so both are measured in the same seconds. ``--delay`` says by how much later a datagram comes.
"""

import contextlib
import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from bench.clients import prepare_media
from bench.clips import clip
from bench.process import SenderProcess, usage
from bench.sink import Sink
from bench.values import BenchError
from flume.errors import FlumeError
from flume.linux import SO_TIMESTAMPNS
from flume.settings import TOKEN_INTERVAL_S
from support.clients.wire_client import WireClient

START_S = 20.0
SETTLE_S = 3.0
"""Clients catch up with the live edge first."""

_STAMP = struct.Struct("@qq")


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds of CPU for one datagram of one client."""

    server_us: float
    """Of the server's own process: no reader."""
    server_in_all_us: float
    """With the process that reads the clip."""
    relay_us: float
    complete: float
    """Datagrams that the relay's clients got, by those of the server's clients."""


def free_port() -> int:
    """Return a port of loopback that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def serving(source: str, port: int) -> Iterator[SenderProcess]:
    """Run ``flume serve`` of *source* for the body."""
    limits = ("--max-sessions-per-address", "2000", "--max-sessions-per-network", "2000", "--max-sessions", "2000")
    command = [sys.executable, "-P", "-c", "from flume.cli import main; main()", "serve", source, *limits]
    command += ["--connections-per-second-per-address", "5000", "--commands-per-second-per-address", "5000"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with SenderProcess([*command, "--host", "127.0.0.1", "--port", str(port)], environment=environment) as process:
        until_s = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                process.require_alive()
                if time.monotonic() > until_s:
                    raise BenchError(f"no server within {START_S:g} s: {process.last_output()}") from None
                time.sleep(0.05)
        yield process


def joined(stack: contextlib.ExitStack, port: int, count: int) -> list[WireClient]:
    """Return *count* active clients of the server at *port*."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(WireClient(port))
        prepare_media(client.media)
        client.connect()
        clients.append(client)
    return clients


def tend(clients: list[WireClient], seconds: float) -> None:
    """Keep the consent of *clients* alive for *seconds*."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        for client in clients:
            client.send_token()
        time.sleep(min(TOKEN_INTERVAL_S, left_s))


def measure(path: Path, *, clients: int, seconds: float) -> Pair:
    """Measure a server and its relay in the same *seconds*; raises :class:`BenchError`."""
    port, relay_port = free_port(), free_port()
    with (
        serving(str(path), port) as server,
        serving(f"flume://127.0.0.1:{port}", relay_port) as relay,
        contextlib.ExitStack() as stack,
    ):
        ours, theirs = joined(stack, relay_port, clients), joined(stack, port, clients)
        everybody = [*ours, *theirs]
        media = [client.media for client in everybody]
        with Sink(media, samples=0, deadline_s=120) as sink:
            tend(everybody, SETTLE_S)
            sink.set_window(time.time_ns(), 1 << 63)
            before = [usage(server.pid, alone=True), usage(server.pid), usage(relay.pid)]
            counted = [count.total for count in sink.counts()]
            tend(everybody, seconds)
            after = [usage(server.pid, alone=True), usage(server.pid), usage(relay.pid)]
            got = [now.total - then for now, then in zip(sink.counts(), counted, strict=True)]
    relayed, served = sum(got[:clients]), sum(got[clients:])
    if not relayed or not served:
        raise BenchError(f"no datagrams came: {relayed} relayed, {served} served")
    spent = [(b.cpu_ns - a.cpu_ns) / 1000 for a, b in zip(before, after, strict=True)]
    served += relayed // clients  # the relay is a client of the server, too
    return Pair(
        server_us=spent[0] / served,
        server_in_all_us=spent[1] / served,
        relay_us=spent[2] / relayed,
        complete=relayed / (served - relayed // clients),
    )


def arrivals(client: WireClient) -> Iterator[tuple[bytes, float]]:
    """Yield the payloads that wait at *client*, each with the time at which the kernel got it."""
    while True:
        try:
            data, ancillary, _, _ = client.media.recvmsg(2048, 64)
        except BlockingIOError:
            return
        for _, kind, value in ancillary:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _STAMP.unpack_from(value)
                yield data[12:], seconds + nanoseconds / 1e9


def delays_ms(path: Path, *, seconds: float) -> list[float]:
    """Return by how much later each datagram came through a relay than from the server itself, in milliseconds."""
    port, relay_port = free_port(), free_port()
    with (
        serving(str(path), port),
        serving(f"flume://127.0.0.1:{port}", relay_port),
        contextlib.ExitStack() as stack,
    ):
        (direct,), (leaf,) = joined(stack, port, 1), joined(stack, relay_port, 1)
        tend([direct, leaf], SETTLE_S)
        first: dict[bytes, float] = {}
        found: list[float] = []
        for client in (direct, leaf):
            client.receive(for_s=0.01)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            for client in (direct, leaf):
                client.send_token()
            time.sleep(0.2)
            first |= dict(arrivals(direct))
            found += [(at_s - first[data]) * 1000 for data, at_s in arrivals(leaf) if data in first]
    return found


@click.command()
@click.option("--clients", type=click.IntRange(1), default=100, show_default=True, help="Of each of the two.")
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", default=6.0, show_default=True)
@click.option("--rate", type=click.Choice(["2", "8", "25"]), default="8", show_default=True, help="Mbit/s.")
@click.option("--delay", "with_delay", is_flag=True, help="Measure the delay, with one client of each.")
def main(*, clients: int, pairs: int, seconds: float, rate: str, with_delay: bool) -> None:
    """Measure what a relay costs for each datagram of each client, beside the server with the clip."""
    try:
        path = clip(int(rate)).path
        if with_delay:
            found = sorted(delays_ms(path, seconds=seconds))
            middle, late = statistics.median(found), found[int(0.99 * len(found))]
            click.echo(
                f"delay of {len(found)} datagrams: median {middle:.2f} ms, 99 % {late:.2f} ms, most {found[-1]:.2f}"
            )
            return
        results = []
        for _ in range(pairs):
            results.append(pair := measure(path, clients=clients, seconds=seconds))
            ratio = pair.relay_us / pair.server_us
            click.echo(
                f"relay {pair.relay_us:.2f} µs, server {pair.server_us:.2f} (with its reader "
                f"{pair.server_in_all_us:.2f}) a datagram and client: {ratio:.3f}; complete {pair.complete:.4f}"
            )
    except FlumeError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)
    alone = statistics.median(pair.relay_us / pair.server_us for pair in results)
    in_all = statistics.median(pair.relay_us / pair.server_in_all_us for pair in results)
    click.echo(f"median of {pairs}: {alone:.3f} of the server's process, {in_all:.3f} with its reader")


if __name__ == "__main__":
    main()
