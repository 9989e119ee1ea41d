"""``flume lab hosts``: are the machines of a hosts file ready for a lab?"""

import sys
from pathlib import Path

import click
import msgspec

from flume.errors import SetupError
from flume.lab.commands.common import console, say, simple_table
from flume.lab.engines.preflight import examine
from flume.lab.hosts.connect import connect
from flume.lab.hosts.readiness import COLUMNS, Readiness
from flume.lab.hosts.remembered import read_hosts


@click.command(short_help="Look whether several machines are ready for a lab.")
@click.argument("hosts_path", metavar="HOSTS_FILE", type=click.Path(path_type=Path))
@click.option("--players", is_flag=True, help="Also copy the image of other people's players.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def hosts(*, hosts_path: Path, players: bool, as_json: bool) -> None:
    """Look at the machines in HOSTS_FILE: engine, Swarm, kernel, netem, MTU, and what passes between them.

    Images are built on the server's host where they are missing, and copied to the others. Nothing is changed in any
    Swarm: the commands for that are printed, for you to type. Exit status 3: the machines are not ready.
    """
    with connect(read_hosts(hosts_path), say=say) as site:
        found = examine(site, say=say, interactive=sys.stderr.isatty(), players=players)
    if as_json:
        click.echo(msgspec.json.encode(found._asdict() | {"rows": [row._asdict() for row in found.rows]}))
    else:
        show_readiness(found)
    if found.problems:
        raise SetupError(f"the hosts of {hosts_path} are not ready: {len(found.problems)} problem(s), see above")


def show_readiness(found: Readiness) -> None:
    """Print the table of a preflight, what it found, and what a person has to type."""
    shown = simple_table(COLUMNS, [[str(cell) for cell in row] for row in found.rows])
    console().print(shown)
    for note in found.notes:
        click.echo(note)
    for problem in found.problems:
        click.echo(f"Problem: {problem}.")
    for one in found.to_type:
        click.echo(f"  on {one.host}:  {one.command}")
    if not found.problems:
        click.echo("Ready.")
