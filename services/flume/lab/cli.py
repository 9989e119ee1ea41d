"""``flume lab``: the group. Each of its commands is in a file of ``commands``."""

import os
import sys
from typing import Any

import click

from flume.lab.commands.common import say
from flume.lab.commands.compare import compare_runs
from flume.lab.commands.firewall import firewall
from flume.lab.commands.hosts import hosts
from flume.lab.commands.netem import calibrate, netem
from flume.lab.commands.quality import quality
from flume.lab.commands.report import report
from flume.lab.commands.run import run
from flume.lab.commands.sbom import sbom
from flume.lab.commands.setup import purge, setup, stop_engine
from flume.lab.commands.status import show_status
from flume.lab.commands.steer import down, send
from flume.lab.commands.study import study
from flume.lab.machine import interrupts


class Interruptible(click.Group):
    """A group whose commands clear away after Ctrl-C, ``kill`` or a closed terminal, and then end with status 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with interrupts.interruptible():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say(f"flume: interrupted{f': {error}' if str(error) else ''}")
            sys.stdout.flush()
            # At once, without the interpreter's own clean-up: a thread that was stopped while it held the lock of the
            # HTTP library's connection pool made the pool's finalizer wait for ever. Our own clean-up is done.
            os._exit(interrupts.STATUS)


@click.group(name="lab", cls=Interruptible)
def lab() -> None:
    """Run a server and clients in containers on a network you control, and judge what each client received."""


for command in (
    run,
    report,
    quality,
    study,
    compare_runs,
    show_status,
    send,
    down,
    netem,
    firewall,
    calibrate,
    setup,
    hosts,
    sbom,
    purge,
    stop_engine,
):
    lab.add_command(command)
