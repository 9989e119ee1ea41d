"""``python -m soak --minutes 10``: load a server for that long, say what grew, drifted or leaked, and draw it."""

import sys
import time
from pathlib import Path

import click
import msgspec

from soak.running import Soak, run
from support.paths import ROOT

NAMES = {"memory_mib": "memory, MiB", "threads": "threads", "descriptors": "descriptors"}


def write(result: Soak, folder: Path) -> None:
    """Write ``soak.json`` and ``soak.png`` into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: getattr(result, name) for name in result._fields}
    (folder / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(values), indent=1))
    draw(result, folder / "soak.png")


def draw(result: Soak, path: Path) -> None:
    """Draw memory, threads and descriptors over time, each with its fitted line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    hours = [one.time_s / 3600 for one in result.samples]
    for place, (name, label) in enumerate(NAMES.items(), start=1):
        axes = figure.add_subplot(len(NAMES), 1, place)
        axes.plot(hours, [getattr(one, name) for one in result.samples], color="#0b5fa5", linewidth=0.8)
        slope = getattr(result, name)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.set_title(f"mean {slope.mean:.1f}, {slope.an_hour:+.2f} ± {slope.plus_minus:.2f} an hour", fontsize=9)
    axes.set_xlabel("hours")
    figure.suptitle(f"{result.clients} clients, {result.counts.get('commands', 0):,} commands")
    figure.savefig(path, dpi=120)


@click.command()
@click.option("--minutes", type=click.FloatRange(0.2), default=10.0, show_default=True)
@click.option("--hours", type=click.FloatRange(0.01), help="Instead of minutes.")
@click.option("--clients", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The folder for the result; default: artifacts/soak-TIME.")
def main(*, minutes: float, hours: float | None, clients: int, seed: int, out: Path | None) -> None:
    """Load a server; exit status 1 if a datagram leaked, or anything grew or drifted. Needs root."""
    folder = out or ROOT / "artifacts" / time.strftime("soak-%Y%m%d-%H%M%S")
    result = run(minutes * 60 if hours is None else hours * 3600, clients=clients, seed=seed, say=click.echo)
    write(result, folder)
    for name, label in NAMES.items():
        slope = getattr(result, name)
        click.echo(f"{label}: mean {slope.mean:.1f}, {slope.an_hour:+.2f} ± {slope.plus_minus:.2f} an hour")
    click.echo(f"drift: {result.drift_ms:+.1f} ms; {', '.join(f'{name} {n:,}' for name, n in result.counts.items())}")
    click.echo(f"result: {folder}")
    for fault in result.faults():
        click.echo(f"FAULT: {fault}", err=True)
    sys.exit(1 if result.faults() else 0)


if __name__ == "__main__":
    main()
