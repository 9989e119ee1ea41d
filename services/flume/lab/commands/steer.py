"""``flume lab send`` and ``flume lab down``: steer a running lab, and remove a lab."""

import click

from flume.control.script import STEERING
from flume.control.session import Command
from flume.lab.commands.common import lab_option, say
from flume.lab.commands.running import find_client, host_name, restore_firewalls, restore_links
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine
from flume.lab.engines import lock
from flume.lab.machine.interrupts import clearing_away
from flume.lab.run.programs import word


@click.command(short_help="Make a client send a command.")
@click.argument("client", type=int)
@click.argument("command", type=click.Choice([str(command) for command in STEERING]))
@lab_option
def send(*, client: int, command: str, lab: str) -> None:
    """Make client number CLIENT send COMMAND to the server. Other players do what a person does for it: play, pause,
    resume, stop.

    Clients whose containers were started again since get the links and firewalls back that they had.
    """
    topology.check_lab_name(lab)
    with Engine.connect() as engine:
        container = find_client(engine, lab, client)
        if restored := restore_links(engine, lab):
            say(f"started again, and given back the links that they had: clients {', '.join(map(str, restored))}")
        if again := restore_firewalls(engine, lab):
            say(f"started again, and given back their firewalls: {', '.join(map(host_name, again))}")
        with container.attach() as io:
            io.write_line(spoken := word(container.program, Command(command)))
    click.echo(f"client {client}: {spoken} (see: make status)")


@click.command(short_help="Remove a lab.")
@lab_option
def down(*, lab: str) -> None:
    """Remove the lab's containers, network and volumes, and nothing else."""
    topology.check_lab_name(lab)
    with Engine.connect() as engine:
        locks, living = lock.remove_left_over(engine, lab)
        for owner in living:
            say(f"a run of lab {lab!r} is under way ({owner}): without its lab it will end with an error")
        with clearing_away(f"removing lab {lab!r}", lambda: engine.names(lab), lock.down_command(lab)):
            removed = [*engine.remove_lab(lab), *locks, *lock.remove_ended(engine)]
    for what in removed:
        click.echo(f"removed {what}")
    if not removed:
        click.echo(f"there is no lab {lab}: nothing to remove")
    click.echo("kept for the next run: the engine, images, caches, artefacts (make purge removes all but the last)")
