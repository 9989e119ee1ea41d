"""``python -m fresh --debian 13``: the README's commands on a fresh Debian, as root and as a member of docker."""

import shutil
import sys
import tempfile
from pathlib import Path

import click

from flume.lab.machine import packages
from fresh import steps, system
from support.paths import ROOT

COMMANDS = ("make lab CLIENTS=5", "make down")
TOOLS = {"mmdebstrap": "mmdebstrap", "slirp4netns": "slirp4netns", "unshare": "util-linux"}


@click.command()
@click.option("--debian", type=click.Choice(list(system.RELEASES)), default="13", show_default=True)
@click.option("--as", "person", type=click.Choice(steps.PERSONS), multiple=True, help="Default: both, one by one.")
@click.option("--run", "commands", multiple=True, help=f"A command in the clone; default: {', '.join(COMMANDS)}.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it is made; needs 6 GB. Default: TMPDIR.")
@click.option("--keep", is_flag=True, help="Leave the system's folder, to look into it.")
def main(*, debian: str, person: tuple[str, ...], commands: tuple[str, ...], folder: Path | None, keep: bool) -> None:
    """Say how each command ended on a fresh Debian, and how long it took; exit status 1 if one failed. Needs root.

    What is committed is tried. The system has processes, mounts, a network and a Docker engine of its own.
    """
    packages.require_root("a fresh system has mounts of its own", "make fresh")
    packages.install(TOOLS, "a fresh Debian system is made and run here", click.echo, sys.stdout.isatty())
    if not archive_of(debian).exists():
        click.echo(f"Making the root file system of Debian {debian}.")
        system.bootstrap(debian, archive_of(debian))
    failed = False
    for each in person or steps.PERSONS:
        ended = try_as(each, commands or COMMANDS, debian, folder, keep=keep)
        for step in ended:
            click.echo(f"Debian {debian}, {each}: {step.name}: status {step.status}, {step.seconds:.0f} s")
        wanted = [step for step in ended if step.name in (commands or COMMANDS)]
        failed |= len(wanted) < len(commands or COMMANDS) or any(step.status for step in ended)
    sys.exit(failed)


def archive_of(debian: str) -> Path:
    """Return the file of the root file system of *debian*, which is made once."""
    return ROOT / ".cache" / f"fresh-debian-{debian}.tar"


def try_as(person: str, commands: tuple[str, ...], debian: str, folder: Path | None, *, keep: bool) -> list[steps.Step]:
    """Run *commands* as *person* in a new system of *debian*; show the output; return the steps that ended."""
    root = Path(tempfile.mkdtemp(prefix="flumelab-fresh-", dir=folder)) / "root"
    lines: list[str] = []
    try:
        system.unpack(archive_of(debian), root)
        with system.running(root, steps.script(person, commands, debian=debian)) as process:
            for line in process.stdout or ():
                lines.append(line)
                click.echo(line, nl=False)
    finally:
        if keep:
            click.echo(f"kept: {root}")
        else:
            system.remove(root)
            shutil.rmtree(root.parent, ignore_errors=True)
    return steps.results(lines)


if __name__ == "__main__":
    main()
