"""``flume lab status``: the present statistics of server and clients as a table."""

import itertools
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

from flume.errors import EngineError, LabError
from flume.lab.commands.common import console, lab_option
from flume.lab.commands.running import no_lab, running_links
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Engine
from flume.lab.evidence.claims import parse_statistics_untrusted
from flume.untrusted_json import decode_untrusted

STATUS_INTERVAL_S = 1.0
LINKS_EVERY = 5
"""Of so many refreshes one reads the links anew: they change only when a person changes them, and it takes longer."""

MAX_LOG_LINES = 40
"""Enough to contain the latest statistics among a client's other output."""


class Row(NamedTuple):
    """One client. ``None``: it has not reported that yet."""

    number: int
    address: str
    link: str | None
    """The name of the profile that its link was set to."""
    container: str
    health: str
    state: str
    transport: str | None
    """What carries the media: udp, or tcp where UDP is blocked or TCP was chosen."""
    datagrams: int | None
    lost: int | None
    """With datagrams and jitter ``None`` for other players, which count none."""
    jitter_ms: float | None
    frames: int | None
    join_ms: float | None
    program: str = "flume"
    """Our own client, or another player."""


def rows(engine: Engine, lab: str, links: Mapping[int, str] | None = None) -> list[Row]:
    """Return a row for each client of *lab*, by its number; *links*: the names of their links' profiles."""
    return [
        _row(container, (links or {}).get(container.index or 0)) for container in engine.find(lab=lab, role="client")
    ]


def link_names(engine: Engine, lab: str) -> dict[int, str]:
    """Return the name of the profile of each client's link.

    ``ended``: a link has ended, and the lab with it; ``lost``: the client was started again; ``?``: that is not known.
    """
    try:
        links = running_links(engine, lab)
    except EngineError:
        raise
    except LabError:  # the lab is just being started, and has no probe yet
        return {}
    try:
        return {**links.present(), **dict.fromkeys(links.lapsed().profiles, "lost")}
    except EngineError:
        return dict.fromkeys(links.clients, "?")
    except LabError:
        return dict.fromkeys(links.clients, "ended")


def server_line(engine: Engine, lab: str) -> str:
    """Return the result of the latest health check of *lab*'s server; empty without a server."""
    states = [container.state() for container in engine.find(lab=lab, role="server")]
    return "; ".join(f"server {state.health}: {state.health_detail or 'not yet asked'}" for state in states)


def last_statistics(log: str) -> Mapping[str, Any]:
    """Return the latest statistics event in a client's *log*; empty if there is none."""
    for line in reversed(log.splitlines()):
        try:
            event = decode_untrusted(line, dict[str, Any])
        except msgspec.DecodeError:
            continue
        if event.get("event") == "statistics":
            return event
    return {}


def _row(container: Container, link: str | None) -> Row:
    state, event = container.state(), last_statistics(container.logs(tail=MAX_LOG_LINES))
    fixed = (container.index or 0, container.address, link, state.status, state.health)
    statistics = parse_statistics_untrusted(event) if event else None
    if statistics is None:
        return Row(*fixed, "?", None, None, None, None, None, None, container.program)
    counts = statistics.datagrams is not None
    return Row(
        *fixed,
        statistics.state,
        statistics.transport,
        statistics.datagrams,
        statistics.lost if counts else None,
        statistics.jitter_ms if counts else None,
        statistics.player.frames_displayed,
        statistics.join_ms,
        container.program,
    )


def table(lab: str, found: Sequence[Row], server: str = "") -> Table:
    """Return the rows as a table, with the line of the *server* below it."""
    caption = Text(server, style="dim") if server else None
    result = Table(title=f"lab {lab}", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption)
    for name in ("client", "program", "address", "link", "container", "health", "state", "media"):
        result.add_column(name)
    for name in ("datagrams", "lost", "jitter ms", "frames", "join ms"):
        result.add_column(name, justify="right")
    for row in found:
        numbers = (row.datagrams, row.lost, row.jitter_ms, row.frames, row.join_ms)
        result.add_row(
            str(row.number),
            row.program,
            row.address,
            row.link or "–",
            row.container,
            row.health,
            row.state,
            "over " + row.transport if row.transport else "–",
            *("–" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in numbers),
        )
    return result


@click.command(name="status", short_help="Show the statistics of every client.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per client, once, instead of a live table."
)
@click.option("--once", is_flag=True, help="Print the table once.")
@lab_option
def show_status(*, as_json: bool, once: bool, lab: str) -> None:
    """Show the statistics of every client: live on a terminal until Ctrl-C, once in a pipe."""
    topology.check_lab_name(lab)
    with Engine.connect() as engine:
        found = rows(engine, lab, link_names(engine, lab))
        if not found:
            raise no_lab(lab)
        if as_json:
            for row in found:
                click.echo(msgspec.json.encode(row._asdict()))
        elif once or not sys.stdout.isatty():
            console().print(table(lab, found, server_line(engine, lab)))
        else:
            _watch(engine, lab)


def _watch(engine: Engine, lab: str) -> None:
    def present() -> Table:
        return table(lab, rows(engine, lab, links), server_line(engine, lab))

    links = link_names(engine, lab)
    with Live(present(), auto_refresh=False) as live:
        try:
            for number in itertools.count(1):
                time.sleep(STATUS_INTERVAL_S)
                if number % LINKS_EVERY == 0:
                    links = link_names(engine, lab)
                live.update(present(), refresh=True)
        except KeyboardInterrupt:
            return
