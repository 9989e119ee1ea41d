"""``flume inspect``: what is wrong with the streams in a capture, in a transport stream, or at a live address."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from flume.capture.files import MAGIC
from flume.errors import CaptureError, NetworkError, SettingsError
from flume.inspect.from_capture import inspect_capture
from flume.inspect.from_ts_file import inspect_ts_file
from flume.inspect.junit import write_junit
from flume.inspect.live import SCHEMES, inspect_live, live_address
from flume.inspect.table import live_line, progress_bar, show
from flume.inspect.thresholds import GRAMMAR, judge, parse_threshold
from flume.inspect.values import UNKNOWN, Inspection
from flume.measures.ts.values import Thresholds

_PASSED, _UNUSABLE = 1, CaptureError.exit_code

_EPILOG = """\b
Examples:
  flume inspect capture.pcapng
  flume inspect film.ts --fail-if 'priority_1>0'
  flume inspect udp://239.1.2.3:5004 --duration 30 --fail-if 'loss_pct>0.5'

\b
Exit status:
  0  no threshold was passed
  1  a threshold was passed
  2  the command line is wrong
  3  the input cannot be used, or not all of it: what could be read is shown
"""


@click.command(epilog=_EPILOG)
@click.argument("source", metavar="FILE|udp://ADDRESS:PORT|rtp://ADDRESS:PORT")
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help=f"Exit with status 1 when a stream fulfils it: {GRAMMAR}. May be repeated. "
    "An unknown measure is refused with the list of all.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another limit for TR 101 290 than its own, such as pcr_interval_s=0.04. May be repeated.",
)
@click.option("--duration", "duration_s", type=click.FloatRange(min=0, min_open=True), help="Live: seconds to listen.")
@click.option(
    "--interface", metavar="ADDRESS", help="Live multicast: join at this local address (IPv6: interface name)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON by docs/inspect.schema.json instead of a table.")
@click.option(
    "--junit",
    "junit_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the thresholds to this file as JUnit XML.",
)
def inspect(
    source: str,
    *,
    conditions: tuple[str, ...],
    limits: tuple[str, ...],
    duration_s: float | None,
    interface: str | None,
    junit_path: Path | None,
    as_json: bool,
) -> None:
    """List the streams in a capture (pcap, pcapng), a TS file or at a live address, each with its measures.

    Loss, bursts, reordering and jitter are read from RTP; errors of MPEG-TS by ETSI TR 101 290. A live address of a
    multicast group is joined. Without --duration it is heard until Ctrl-C, and what has come is shown.
    """
    shown = os.fsencode(source).decode(errors="replace")
    thresholds = [parse_threshold(each) for each in conditions]
    limit_values = _limits(limits)
    with _stopping() as stop:
        inspection = _inspected(source, limit_values, duration_s, interface, stop)
    problems = list(inspection.problems)
    if not inspection.streams and not problems:
        problems.append("no stream was found in it")
    results = judge(thresholds, inspection.streams)
    inspection = msgspec.structs.replace(inspection, input=shown, thresholds=results, problems=problems)
    if as_json:
        click.echo(msgspec.json.encode(inspection).decode())
    elif inspection.kind != UNKNOWN:
        show(inspection)
    for problem in inspection.problems:
        click.echo(f"flume: {shown}: {problem}", err=True)
    status = exit_status(inspection)
    if junit_path is not None:
        try:
            write_junit(inspection, thresholds, junit_path)
        except CaptureError as error:
            click.echo(f"flume: {error}", err=True)
            status = status or _UNUSABLE
    sys.exit(status)


def exit_status(inspection: Inspection) -> int:
    """Return the status of the program.

    Of an input that ends early, what exceeds a number in the part that was read does so for certain; nothing else is
    certain then, and nothing at all where a problem may have made figures wrong.
    """
    passed = [parse_threshold(result.threshold) for result in inspection.thresholds if result.passed_by]
    if passed and not inspection.problems:
        return _PASSED
    if not inspection.falsified and any(threshold.relation in {">", ">="} for threshold in passed):
        return _PASSED
    unjudged = any(not result.judged for result in inspection.thresholds)
    return _UNUSABLE if inspection.problems or unjudged else 0


class _Stop:
    """Whether the person, or ``timeout``, has asked the program to stop; asked twice it stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, _number: int, _frame: object) -> None:
        """Take a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def _stopping() -> Iterator[_Stop]:
    """Yield what Ctrl-C and SIGTERM ask to stop while the block runs."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _inspected(
    source: str, limits: Thresholds, duration_s: float | None, interface: str | None, stop: _Stop
) -> Inspection:
    """Return what *source* holds. Input of which nothing can be used has no streams, and a problem."""
    if source.startswith(SCHEMES):
        return _heard(source, limits, duration_s, interface, stop)
    for name, given in (("--duration", duration_s), ("--interface", interface)):
        if given is not None:
            raise SettingsError(name, given, "it is for a live address alone, and a file is read to its end")
    if "://" in source:
        raise SettingsError("source", source, f"a file, or an address that begins with {' or '.join(SCHEMES)}")
    path = Path(source)
    try:
        inspect_file = inspect_capture if _first_bytes(path) in MAGIC else inspect_ts_file
        with progress_bar(path.name) as move:

            def go_on(done: int, total: int) -> None:
                move(done, total)
                if stop.asked:
                    raise KeyboardInterrupt

            return inspect_file(path, limits, go_on)
    except CaptureError as error:
        return Inspection(input=source, kind=UNKNOWN, problems=[str(error).removeprefix(f"{path} ")])


def _heard(source: str, limits: Thresholds, duration_s: float | None, interface: str | None, stop: _Stop) -> Inspection:
    """Return what comes to the live address *source*."""
    address = live_address(source)
    if interface is not None and not address.is_multicast:
        raise SettingsError("--interface", interface, "it says where to join a group, and this address is none")
    if interface is None and address.needs_interface:
        raise SettingsError("--interface", "", "the name of one: this group is on every link")
    try:
        with live_line(source) as renew:
            return inspect_live(
                address, limits, renew, interface=interface, duration_s=duration_s, is_stopped=lambda: stop.asked
            )
    except NetworkError as error:
        return Inspection(input=source, kind=UNKNOWN, problems=[str(error)])


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from error


def _limits(texts: tuple[str, ...]) -> Thresholds:
    """Return the limits with those of the caller. Raises :class:`SettingsError`, which names all of them."""
    names = Thresholds.__struct_fields__
    given: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            if name not in names:
                raise SettingsError("--limit", text, f"NAME=VALUE, where NAME is one of {', '.join(names)}")
            given[name] = float(value)
            Thresholds(**given)
        except ValueError as error:
            raise SettingsError("--limit", text, "NAME=VALUE, with a number above 0") from error
    return Thresholds(**given)
