"""``python -m soak --hours 8``: load a server for that long, in slices; say what grew or leaked, and draw it."""

import sys
import time
from pathlib import Path

import click
import msgspec

from flume.errors import FlumeError
from flume.lab.machine import packages
from soak.plot import draw
from soak.report import lines, report
from soak.running import run
from soak.slices import Keeper, read, seconds_left, unfinished
from support.paths import ROOT

ARTIFACTS = ROOT / "artifacts"


def _folder(wanted_s: float, clients: int, *, new: bool) -> Path:
    """Return the folder of a soak of these settings that was stopped, else a new one."""
    earlier = [] if new else sorted(ARTIFACTS.glob("soak-*"))
    return unfinished(earlier, wanted_s, clients) or ARTIFACTS / time.strftime("soak-%Y%m%d-%H%M%S")


def _run(folder: Path, wanted_s: float, clients: int, seed: int) -> None:
    """Run the slice that is missing in *folder*, if one is."""
    earlier = read(folder)
    left_s = seconds_left(earlier, wanted_s)
    if not left_s:
        click.echo(f"{folder} is complete")
        return
    if earlier:
        click.echo(f"continuing {folder}: {left_s / 3600:.2f} of {wanted_s / 3600:.2f} hours are left")
    with Keeper(folder) as keeper:
        run(left_s, clients=clients, seed=seed + len(earlier), wanted_s=wanted_s, say=click.echo, keep=keeper.keep)


@click.command()
@click.option("--minutes", type=click.FloatRange(0.2), default=10.0, show_default=True)
@click.option("--hours", type=click.FloatRange(0.01), help="Instead of minutes.")
@click.option("--clients", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of the first slice; each one has its own.")
@click.option("--new", is_flag=True, help="Continue no soak that was stopped.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to continue or to make.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw the plot there as well, as SVG.")
def main(
    *, minutes: float, hours: float | None, clients: int, seed: int, new: bool, out: Path | None, figure: Path | None
) -> None:
    """Load a server. Ctrl-C ends a slice; the same command continues with the next one. Needs root.

    The exit status is 1 if a datagram leaked, or anything grew or drifted.
    """
    wanted_s = minutes * 60 if hours is None else hours * 3600
    try:
        packages.require_root("a soak has network namespaces of its own", "make soak")
        folder = out or _folder(wanted_s, clients, new=new)
        _run(folder, wanted_s, clients, seed)
        slices = read(folder)
    except FlumeError as error:
        click.echo(f"soak: {error}", err=True)
        sys.exit(error.exit_code)
    made = report(slices)
    (folder / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
    for path in (folder / "soak.svg", *([figure] if figure else [])):
        draw(made, slices, path)
    for line in lines(made):
        click.echo(line)
    click.echo(f"result: {folder}")
    for fault in made.faults:
        click.echo(f"FAULT: {fault}", err=True)
    sys.exit(1 if made.faults else 0)


if __name__ == "__main__":
    main()
