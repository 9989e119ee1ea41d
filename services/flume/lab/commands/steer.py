"""``flume lab send`` and ``flume lab down``: steer a running lab, and remove a lab."""

from pathlib import Path

import click

from flume.control.script import STEERING
from flume.control.session import Command
from flume.errors import LabError
from flume.lab import checkout
from flume.lab.commands.common import hosts_option, lab_option, say
from flume.lab.commands.running import find_client, host_name, reached, restore_firewalls, restore_links
from flume.lab.containers import topology
from flume.lab.engines import lock
from flume.lab.hosts.remembered import forget
from flume.lab.machine.interrupts import clearing_away
from flume.lab.run.programs import word


@click.command(short_help="Make a client send a command.")
@click.argument("client", type=int)
@click.argument("command", type=click.Choice([str(command) for command in STEERING]))
@lab_option
@hosts_option
def send(*, client: int, command: str, lab: str, hosts_path: Path | None) -> None:
    """Make client number CLIENT send COMMAND to the server. Other players do what a person does for it: play, pause,
    resume, stop.

    Clients whose containers were started again since get the links and firewalls back that they had.
    """
    topology.check_lab_name(lab)
    with reached(lab, hosts_path) as site:
        container = find_client(site, lab, client)
        if restored := restore_links(site, lab):
            say(f"started again, and given back the links that they had: clients {', '.join(map(str, restored))}")
        if again := restore_firewalls(site, lab):
            say(f"started again, and given back their firewalls: {', '.join(map(host_name, again))}")
        with container.attach() as io:
            io.write_line(spoken := word(container.program, Command(command)))
    on = f" on {container.host}" if container.host else ""
    click.echo(f"client {client}{on}: {spoken} (see: make status)")


@click.command(short_help="Remove a lab.")
@lab_option
@hosts_option
def down(*, lab: str, hosts_path: Path | None) -> None:
    """Remove the lab's containers, network and volumes from all of its hosts, and nothing else.

    The exit status is 3 where a host did not answer. Call it again when that host is back.
    """
    topology.check_lab_name(lab)
    with reached(lab, hosts_path) as site:
        locks: list[str] = []
        for host in site.hosts:
            found, living = lock.remove_left_over(host.engine, lab)
            locks += found
            for owner in living:
                say(f"a run of lab {lab!r} is under way ({owner}): without its lab it will end with an error")
        with clearing_away(f"removing lab {lab!r}", lambda: site.names(lab), lock.down_command(lab)):
            removed = [*site.remove_lab(lab), *locks]
            removed += [what for host in site.hosts for what in lock.remove_ended(host.engine)]
            if not site.is_single and not site.missing:
                removed += [what for host in site.hosts for what in lock.remove_ended(host.engine, site)]
        for what in removed:
            click.echo(f"removed {what}")
        if not removed:
            click.echo(f"there is no lab {lab}: nothing to remove")
        if site.missing:
            raise LabError(
                f"what lab {lab!r} has on {' and '.join(site.missing)} is left there, as no engine answered; when it "
                f"is back: {lock.down_command(lab)}"
            )
        forget(checkout.cache(), lab)
    click.echo("kept for the next run: the engine, images, caches, artefacts (make purge removes all but the last)")
