"""``python -m bench.card``: what the server of the test card costs, with all its processes: memory and CPU.

With ``--tree FOLDER`` it measures another checkout in turn with this one, by the same Python and packages::

    git worktree add ../before 397ff2a
    PYTHONPATH=services:tests python -m bench.card --tree ../before
"""

import os
import socket
import statistics
import struct
import sys
import time
from pathlib import Path

import click
import msgspec

from bench.process import SenderProcess, tree, usage
from bench.values import BenchError
from flume.errors import FlumeError
from flume.lab.testcard import ensure_test_card
from flume.settings import TOKEN_INTERVAL_S
from support.clients.wire_client import WireClient
from support.paths import ROOT

START_S = 10.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PRESENT = 1 << 63
_FRAME_NUMBER = (1 << 55) - 1


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of a server and its children, while one client receives."""

    processes: int
    pss_mib: float
    """Each page divided by the number of processes that have it (proc(5), smaps_rollup). Other programs of this host
    that use the same libraries make it smaller."""
    own_mib: float
    """The pages of all these processes, each counted once. Only root sees it."""
    cpu_percent: float
    """Of one core: user and system time, also of children that have ended."""


def proportional_bytes(rollup: str) -> int:
    """Return the proportional set size in *rollup*, the text of /proc/PID/smaps_rollup."""
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))


def frames(pid: int) -> set[int]:
    """Return the numbers of the page frames of *pid* (proc(5), pagemap)."""
    found: set[int] = set()
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:  # noqa: PTH123
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(address, 16) // _PAGE_BYTES for address in line.split()[0].split("-"))
            if begin < 1 << 51:  # not the kernel's own page of system calls
                entries = os.pread(pagemap.fileno(), (end - begin) * 8, begin * 8)
                found.update(
                    entry & _FRAME_NUMBER for (entry,) in struct.iter_unpack("=Q", entries) if entry & _PRESENT
                )
    return found - {0}


def receive(client: WireClient, seconds: float) -> int:
    """Throw away what *client* gets in *seconds*, and repeat its token; return how many bytes came."""
    received, end_s, token_s = 0, time.monotonic() + seconds, 0.0
    while (now_s := time.monotonic()) < end_s:
        if now_s >= token_s:
            token_s = now_s + TOKEN_INTERVAL_S
            client.send_token()
        received += sum(map(len, client.receive(for_s=0.05)))
    return received


def measure(folder: Path, card: Path, *, settle_s: float, seconds: float) -> Cost:
    """Measure the server of the checkout *folder*. Raises :class:`BenchError`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-c", "from flume.cli import main; main()", "serve", str(card)]
    packages = [path for path in sys.path if path and Path(path).resolve() != ROOT / "services"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "services"), *packages]),
        "MALLOC_ARENA_MAX": "2",  # as in the server's image
    }
    with SenderProcess([*command, "--host", "127.0.0.1", "--port", str(port)], environment=environment) as process:
        with _connected(process, port) as client:
            client.connect()
            receive(client, settle_s)
            pids = list(tree(process.pid))
            pss = sum(proportional_bytes(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids)
            own = len(set[int]().union(*map(frames, pids))) * _PAGE_BYTES
            before = usage(process.pid)
            received = receive(client, seconds)
            after = usage(process.pid)
        if not received:
            raise BenchError(f"the client received nothing: {process.last_output()}")
    share = (after.cross_check_s - before.cross_check_s) / (after.time_ns - before.time_ns) * 1e9
    return Cost(processes=len(pids), pss_mib=pss / 2**20, own_mib=own / 2**20, cpu_percent=share * 100)


def _connected(process: SenderProcess, port: int) -> WireClient:
    until_s = time.monotonic() + START_S
    while True:
        try:
            return WireClient(port)
        except ConnectionRefusedError:
            process.require_alive()
            if time.monotonic() > until_s:
                raise BenchError(f"the server did not start within {START_S:g} s") from None
            time.sleep(0.05)


def _say(folder: Path, costs: list[Cost]) -> None:
    columns = ((name, [getattr(cost, name) for cost in costs]) for name in ("pss_mib", "own_mib", "cpu_percent"))
    words = (
        f"{name} {statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})" for name, values in columns
    )
    click.echo(f"{folder.name}: {costs[0].processes} processes, median of {len(costs)}: {', '.join(words)}")


@click.command()
@click.option("--tree", "others", type=click.Path(exists=True, path_type=Path), multiple=True, help="Another checkout.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--settle", "settle_s", default=15.0, show_default=True, help="Seconds before memory is measured.")
@click.option("--seconds", default=30.0, show_default=True, help="Seconds over which CPU time is measured.")
def main(*, others: tuple[Path, ...], repeats: int, settle_s: float, seconds: float) -> None:
    """Measure what the server of the test card costs, in turn with that of other checkouts."""
    folders = [*(other.resolve() for other in others), ROOT]
    costs: dict[Path, list[Cost]] = {folder: [] for folder in folders}
    try:
        card = ensure_test_card(ROOT / ".cache", say=click.echo, interactive=sys.stderr.isatty())
        for _ in range(repeats):
            for folder in folders:
                costs[folder].append(measure(folder, card, settle_s=settle_s, seconds=seconds))
    except FlumeError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)
    for folder in folders:
        _say(folder, costs[folder])


if __name__ == "__main__":
    main()
