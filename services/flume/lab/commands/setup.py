"""``flume lab setup``, ``purge`` and ``stop-engine``: prepare this machine for labs, and undo that."""

import sys
from pathlib import Path

import click

from flume.errors import SetupError
from flume.lab.commands.common import hosts_option_saying, say
from flume.lab.engines import prepare
from flume.lab.hosts.remembered import read_hosts
from flume.lab.machine import dockerd


@click.command(short_help="Prepare this machine for labs.")
@click.option("--tests", is_flag=True, hidden=True, help="Install what the tests need as well.")
def setup(*, tests: bool) -> None:
    """Install what is missing, start an engine if none answers, and build the images.

    A second call changes nothing and prints nothing. Debian packages are installed and an engine is started only as
    root; otherwise the exit status is 3 and the message names the command to run.
    """
    interactive = sys.stderr.isatty()
    with prepare.prepare(say, interactive=interactive, tests=tests) as engine:
        try:
            prepare.prepare_netem(engine, say, interactive=interactive)
        except SetupError as error:  # a lab without netem is possible
            say(str(error))


@click.command(short_help="Remove all labs and images.")
@hosts_option_saying(
    "Remove them from these machines too (docs/hosts.md). Nothing is removed where one does not answer."
)
def purge(*, hosts_path: Path | None) -> None:
    """Remove all labs and images, and stop the engine if flumelab started it.

    Artefacts, and an engine that flumelab did not start, are left alone. `make purge` also removes .venv and .cache.
    """
    prepare.purge(say, hosts=None if hosts_path is None else read_hosts(hosts_path))


@click.command(name="stop-engine", short_help="Stop the engine that flumelab started.")
def stop_engine() -> None:
    """Stop the Docker engine if flumelab started it."""
    dockerd.stop_engine(say)
