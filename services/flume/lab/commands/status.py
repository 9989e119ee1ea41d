"""The running lab as a table: what the server and every client say of themselves right now."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
import msgspec
import rich.box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flume.errors import LabError
from flume.lab.commands.common import console, lab_option
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine
from flume.lab.engines import locate
from flume.lab.evidence.claims import parse_statistics_untrusted

STATUS_INTERVAL_S = 1.0

MAX_LOG_LINES = 40
"""Enough to hold the last statistics of a client that also says other things."""


class Row(NamedTuple):
    """One client's line; ``None`` where it has not said."""

    number: int
    address: str
    container: str
    health: str
    state: str
    transport: str | None
    """What carries the media: udp, or tcp where UDP was blocked or nobody wanted it."""
    datagrams: int | None
    lost: int | None
    jitter_ms: float | None
    frames: int | None
    join_ms: float | None


def rows(engine: Engine, lab: str) -> list[Row]:
    """Return a row for each client of *lab*."""
    return [
        _row(
            container.index or 0,
            container.address,
            container.state().status,
            container.state().health,
            last_statistics(container.logs(tail=MAX_LOG_LINES)),
        )
        for container in engine.find(lab=lab, role="client")
    ]


def server_line(engine: Engine, lab: str) -> str:
    """Return what the server of *lab* said of itself when its health was last looked at; empty without a server."""
    states = [container.state() for container in engine.find(lab=lab, role="server")]
    return "; ".join(f"server {state.health}: {state.health_detail or 'not yet asked'}" for state in states)


def last_statistics(log: str) -> Mapping[str, Any]:
    """Return the last statistics event in a client's *log*; empty when there is none."""
    for line in reversed(log.splitlines()):
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            continue
        if event.get("event") == "statistics":
            return event
    return {}


def _row(number: int, address: str, container: str, health: str, event: Mapping[str, Any]) -> Row:
    said = parse_statistics_untrusted(event) if event else None
    if said is None:
        return Row(number, address, container, health, "?", None, None, None, None, None, None)
    return Row(
        number,
        address,
        container,
        health,
        said.state,
        said.transport,
        said.datagrams,
        said.lost,
        said.jitter_ms,
        said.player.frames_displayed,
        said.join_ms,
    )


def table(lab: str, found: Sequence[Row], server: str = "") -> Table:
    """Return the rows as a table for people, with the line of the *server* below."""
    caption = Text(server, style="dim") if server else None
    result = Table(title=f"lab {lab}", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption)
    for name in ("client", "address", "container", "health", "state", "media"):
        result.add_column(name)
    for name in ("datagrams", "lost", "jitter ms", "frames", "join ms"):
        result.add_column(name, justify="right")
    for row in found:
        numbers = (row.datagrams, row.lost, row.jitter_ms, row.frames, row.join_ms)
        result.add_row(
            str(row.number),
            row.address,
            row.container,
            row.health,
            row.state,
            "over " + row.transport if row.transport else "–",
            *("–" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in numbers),
        )
    return result


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a client, once, instead of a live table.")
@click.option("--once", is_flag=True, help="Show the table once.")
@lab_option
def show_status(*, as_json: bool, once: bool, lab: str) -> None:
    """Show what every client says of itself, live on a terminal until Ctrl-C."""
    with locate.engine_with(topology.check_lab_name(lab)) as engine:
        found = rows(engine, topology.check_lab_name(lab))
        if not found:
            raise LabError(f"no lab {lab!r} is running: start one with make lab")
        if as_json:
            for row in found:
                click.echo(msgspec.json.encode(row._asdict()))
        elif once or not sys.stdout.isatty():
            console().print(table(lab, found, server_line(engine, lab)))
        else:
            _watch(engine, lab)


def _watch(engine: Engine, lab: str) -> None:
    def present() -> Table:
        return table(lab, rows(engine, lab), server_line(engine, lab))

    with Live(present(), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(STATUS_INTERVAL_S)
                live.update(present(), refresh=True)
        except KeyboardInterrupt:
            return
