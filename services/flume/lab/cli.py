"""``flume lab``: the group. Each of its commands is in a file of ``commands``."""

import click

from flume.lab.commands.firewall import firewall
from flume.lab.commands.netem import calibrate, netem
from flume.lab.commands.run import run
from flume.lab.commands.setup import purge, setup, stop_engine
from flume.lab.commands.status import show_status
from flume.lab.commands.steer import down, send


@click.group(name="lab")
def lab() -> None:
    """Run a server and clients in containers on a network you control, and judge what each client received."""


for command in (run, show_status, send, down, netem, firewall, calibrate, setup, purge, stop_engine):
    lab.add_command(command)
