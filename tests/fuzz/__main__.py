"""``python -m fuzz [TARGET…] --seconds 60``: fuzz each target for that long, and say what was found."""

import sys
from pathlib import Path

import click

from fuzz.corpus import keep
from fuzz.running import Outcome, run_all
from fuzz.targets import TARGETS
from support.paths import ROOT


def line_of(outcome: Outcome) -> str:
    """Return what became of one target, in one line.

    >>> line_of(Outcome("framer", 0, 1200, 90, None, Path("framer.log")))
    'framer              1,200 executions     90 branches  ok'
    """
    said = "ok" if outcome.status == 0 else f"FAILED: {outcome.failing or 'no input was written'}, see {outcome.log}"
    return f"{outcome.target:<16}{outcome.executions:>9,} executions {outcome.coverage:>6} branches  {said}"


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(tuple(TARGETS)))
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True, help="For each target.")
@click.option("--side-by-side", type=click.IntRange(1), default=2, show_default=True, help="Processes at a time.")
@click.option("--keep", "keeps", is_flag=True, help="Afterwards choose the kept corpus anew.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "artifacts" / "fuzz", show_default=False)
def main(*, targets: tuple[str, ...], seconds: int, side_by_side: int, keeps: bool, out: Path) -> None:
    """Fuzz TARGETS, or all; exit status 1 if an input crashed, took too long or too much memory."""
    chosen = targets or tuple(TARGETS)
    outcomes = run_all(chosen, out, seconds=seconds, side_by_side=side_by_side)
    for outcome in outcomes:
        click.echo(line_of(outcome))
    for target in chosen if keeps else ():
        click.echo(f"{target}: {keep(target, out / 'corpus' / target)} files kept")
    sys.exit(1 if any(outcome.status for outcome in outcomes) else 0)


if __name__ == "__main__":
    main()
