"""``python -m bench``: one command, one run, one folder of results."""

import datetime as dt
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from bench import machine, plots, report
from bench.network import BenchNetwork, is_root, remove_stale
from bench.plan import PARTS, Options, rates_used
from bench.run import Run
from bench.senders import Sender
from bench.values import BATCH, MAX_SECONDS, RATES_MBIT, BenchError
from flume.errors import FlumeError
from support.paths import ROOT

QUICK_MINUTES, FULL_MINUTES = 8.0, 25.0
INTERRUPTED_STATUS = 130
_NOT_ROOT_STATUS = 3


class _Listed(click.ParamType[tuple[str, ...]]):
    """Words separated by commas."""

    name = "LIST"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """See click."""
        return value if isinstance(value, tuple) else tuple(word for word in str(value).split(",") if word)


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers above 0, separated by commas."""

    name = "NUMBERS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """See click."""
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            self.fail(f"{value!r} is not a list of numbers above 0, such as 10,100", param, ctx)
        return tuple(map(int, words))


@click.command()
@click.argument("plan", type=click.Choice(["quick", "full"]), default="full")
@click.option("--only", "parts", type=_Listed(), default=(), help=f"Parts of the plan: {','.join(PARTS)}.")
@click.option("--senders", type=_Listed(), default=(), help="Senders, such as flume,naive,limit; all by default.")
@click.option("--repeats", type=click.IntRange(1, 20), default=3, show_default=True, help="Interleaved repeats.")
@click.option("--rate", "rates", type=_Numbers(), default=(), help="Mbit/s (2, 8, 25), in place of the plan.")
@click.option("--clients", type=_Numbers(), default=(), help="Numbers of clients, in place of the plan.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, MAX_SECONDS),
    default=3.0,
    show_default=True,
    envvar="FLUME_BENCH_SECONDS",
    show_envvar=True,
    help="A window's length.",
)
@click.option("--tick", "tick_ms", type=click.FloatRange(1, 100), help="Sending interval, milliseconds.")
@click.option("--batch", type=click.IntRange(1, 48), default=BATCH, show_default=True, help="Flume's largest batch.")
@click.option("--minutes", type=click.FloatRange(0.1), help="Start no measurement after this time.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the results [default: artifacts/bench-…].")
def main(*, minutes: float | None, output: Path | None, **chosen: object) -> None:
    """Compare what it costs flume and other senders to send to many hosts. Needs root, for network namespaces."""
    if not is_root():
        _fail("the benchmark creates network namespaces, which needs root: run it as root", _NOT_ROOT_STATUS)
    try:
        machine.prepare_process()
        wanted = chosen.pop("senders")
        assert isinstance(wanted, tuple)
        senders, missing = machine.senders_here(wanted, _say, interactive=sys.stderr.isatty())
        limit = minutes or (QUICK_MINUTES if chosen["plan"] == "quick" else FULL_MINUTES)
        options = Options(senders=tuple(senders), minutes=limit, **chosen)  # type: ignore[arg-type]
        _check(options)
        complete = _run(options, senders, missing, output)
    except FlumeError as error:
        _fail(str(error), error.exit_code)
    sys.exit(0 if complete else INTERRUPTED_STATUS)


def _check(options: Options) -> None:
    """Refuse unknown parts, bit rates without a clip and an empty list of senders, before anything is measured."""
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        raise BenchError(f"--only {','.join(unknown)}: unknown; the parts are {', '.join(PARTS)}")
    unavailable = [rate for rate in rates_used(options) if rate not in RATES_MBIT]
    if unavailable:
        raise BenchError(
            f"--rate {','.join(map(str, unavailable))}: there are clips of {', '.join(map(str, RATES_MBIT))} Mbit/s"
        )
    if not options.senders:
        raise BenchError("none of the senders asked for can run here")


def _run(options: Options, senders: dict[str, Sender], missing: dict[str, list[str]], output: Path | None) -> bool:
    """Measure, write and show the results; return whether the run was complete."""
    started = dt.datetime.now(dt.UTC).astimezone()
    for name, packages in missing.items():
        _say(f"Continuing without {name}: {', '.join(packages)} missing.")
    for name in remove_stale():
        _say(f"Removed the network namespace {name}, left behind by a killed run.")
    signal.signal(signal.SIGTERM, _interrupt)
    complete = True
    with BenchNetwork() as network:
        run = Run(network, options, senders, _say)
        try:
            run.execute()
        except KeyboardInterrupt:
            complete = False
            _say("Interrupted: writing the results so far.")
    names = {name: sender.what for name, sender in senders.items()}
    made = report.make_report(
        run,
        options,
        machine.describe(),
        names,
        missing,
        started=started.isoformat(timespec="seconds"),
        complete=complete,
    )
    folder = output or ROOT / "artifacts" / f"bench-{started:%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    path = report.write_json(made, folder)
    drawn = plots.draw(made, folder)
    if output is None:
        report.link_latest(folder)
    report.show(made, sys.stdout)
    _say(f"Results: {path}" + (f", plots: {', '.join(plot.name for plot in drawn)}" if drawn else ""))
    return complete


def _interrupt(number: int, frame: object) -> NoReturn:
    """Treat SIGTERM like Ctrl-C."""
    raise KeyboardInterrupt


def _say(line: str) -> None:
    head, bracket, rest = line.partition("] ")
    # click removes the colours if standard error is no terminal.
    click.echo(click.style(head + bracket, dim=True) + rest if bracket else line, err=True)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"bench: {message}", err=True)
    sys.exit(status)
