"""``flume lab status``: the present statistics of server and clients as a table."""

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import rich.box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flume.errors import EngineError, LabError
from flume.lab.commands.common import console, hosts_option, lab_option
from flume.lab.commands.present import events_of, present
from flume.lab.commands.running import no_lab, reached, running_links
from flume.lab.containers import topology
from flume.lab.containers.engine import Container
from flume.lab.hosts.site import Site

STATUS_INTERVAL_S = 1.0
LINKS_EVERY = 5
"""Of so many refreshes one reads the links anew: they change only when a person changes them, and it takes longer."""

MAX_LOG_LINES = 130
"""About a minute: statistics and a record of frames come once a second. Freezes are those of these lines."""


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
    rate_kbit: float | None = None
    lost_before: int | None = None
    """Of *lost*: did not reach the client's host, as on the link."""
    lost_here: int | None = None
    """Of *lost*: dropped by the client's kernel, at the full socket."""
    late: int | None = None
    """Came too late for the jitter buffer; not in *lost*."""
    freezes: int | None = None
    """In about the last minute; None: it keeps no record of its frames."""
    longest_freeze_ms: float | None = None
    host: str = ""
    """The machine that it runs on; empty where the lab has one."""


def rows(site: Site, lab: str, links: Mapping[int, str] | None = None) -> list[Row]:
    """Return a row for each client of *lab*, by its number; *links*: the names of their links' profiles."""
    return [_row(container, (links or {}).get(container.index or 0)) for container in site.find(lab=lab, role="client")]


def link_names(site: Site, lab: str) -> dict[int, str]:
    """Return the name of the profile of each client's link.

    ``ended``: a link has ended, and the lab with it; ``lost``: the client was started again; ``?``: that is not known.
    """
    try:
        links = running_links(site, lab)
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


def server_line(site: Site, lab: str) -> str:
    """Return the result of the latest health check of *lab*'s server; empty without a server."""
    states = [container.state() for container in site.find(lab=lab, role="server")]
    return "; ".join(f"server {state.health}: {state.health_detail or 'not yet asked'}" for state in states)


def _row(container: Container, link: str | None) -> Row:
    state, found = container.state(), present(events_of(container.logs(tail=MAX_LOG_LINES)))
    fixed = (container.index or 0, container.address, link, state.status, state.health)
    if found is None:
        return Row(*fixed, "?", None, None, None, None, None, None, container.program, host=container.host)
    statistics, stood = found.statistics, found.freezes
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
        rate_kbit=found.rate_kbit if counts else None,
        lost_before=found.lost_before if counts else None,
        lost_here=statistics.dropped_by_receiver if counts else None,
        late=statistics.late if counts else None,
        freezes=None if stood is None else len(stood),
        longest_freeze_ms=max((round(1000 * one.duration_s) for one in stood), default=0) if stood else None,
        host=container.host,
    )


def _state(row: Row) -> str:
    """Return the client's state, and what is unusual about its container."""
    unusual = [] if row.container == "running" else [row.container]
    unusual += [] if row.health in {"healthy", "none", "starting", ""} else [row.health]
    return ", ".join([row.state, *unusual])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}".replace(",", " ")


def _freezes(row: Row) -> str:
    if row.freezes is None:
        return "–"
    return f"{row.freezes}, {(row.longest_freeze_ms or 0) / 1000:.1f} s" if row.freezes else "0"


def table(lab: str, found: Sequence[Row], server: str = "") -> Table:
    """Return the rows as a table, with the line of the *server* below it."""
    caption = Text(server, style="dim") if server else None
    result = Table(title=f"lab {lab}", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption)
    names_programs = any(row.program != "flume" for row in found)
    names_hosts = any(row.host for row in found)
    optional = (("host",) if names_hosts else ()) + (("program",) if names_programs else ())
    for name in ("client", *optional, "address", "link", "state", "media"):
        result.add_column(name, no_wrap=True)
    for name in ("kbit/s", "received", "lost\nbefore", "lost\nhere", "late", "jitter\nms", "frames"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("freezes,\nlongest", justify="right", no_wrap=True)
    result.add_column("join\nms", justify="right", no_wrap=True)
    for row in found:
        counts = (row.rate_kbit, row.datagrams, row.lost_before, row.lost_here, row.late)
        result.add_row(
            str(row.number),
            *((row.host,) if names_hosts else ()),
            *((row.program,) if names_programs else ()),
            row.address,
            row.link or "–",
            _state(row),
            row.transport or "–",
            *map(_number, counts),
            "–" if row.jitter_ms is None else f"{row.jitter_ms:.1f}",
            _number(row.frames),
            _freezes(row),
            _number(row.join_ms),
        )
    return result


@click.command(name="status", short_help="Show the statistics of every client.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per client, once, instead of a live table."
)
@click.option("--once", is_flag=True, help="Print the table once.")
@lab_option
@hosts_option
def show_status(*, as_json: bool, once: bool, lab: str, hosts_path: Path | None) -> None:
    """Show the statistics of every client: live on a terminal until Ctrl-C, once in a pipe.

    Lost before: datagrams that did not reach the client's host; here: dropped by its kernel; late: came after the
    jitter buffer had given them up. Freezes: of about the last minute.
    """
    topology.check_lab_name(lab)
    with reached(lab, hosts_path) as site:
        found = rows(site, lab, link_names(site, lab))
        if not found:
            raise no_lab(lab)
        if as_json:
            for row in found:
                click.echo(msgspec.json.encode(row._asdict()))
        elif once or not sys.stdout.isatty():
            console().print(table(lab, found, server_line(site, lab)))
        else:
            _watch(site, lab)


def _watch(site: Site, lab: str) -> None:
    def drawn() -> Table:
        return table(lab, rows(site, lab, links), server_line(site, lab))

    links = link_names(site, lab)
    with Live(drawn(), auto_refresh=False) as live:
        try:
            for number in itertools.count(1):
                time.sleep(STATUS_INTERVAL_S)
                if number % LINKS_EVERY == 0:
                    links = link_names(site, lab)
                live.update(drawn(), refresh=True)
        except KeyboardInterrupt:
            return
