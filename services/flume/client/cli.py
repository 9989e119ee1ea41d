"""``flume watch`` and ``flume health``."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import click
import msgspec

from flume.client.app import Client
from flume.client.health import check_client, check_server
from flume.client.playback.opening import PlayerKind, open_player
from flume.client.terminal import commands
from flume.client.terminal.access_options import access_choice, access_options
from flume.client.terminal.views import JsonView, TextView, View
from flume.client.terminal.watching import SIGNAL, Watching
from flume.control.endpoint import endpoint
from flume.control.script import Step, parse_script
from flume.control.session import Command
from flume.errors import SettingsError
from flume.lasting_output import lasting_output
from flume.settings import DEFAULT_PORT, ClientSettings, PayloadKind, TransportChoice

_DEFAULTS = ClientSettings(host="localhost")
_SHOWN = {
    "window": "in a window",
    "headless": "without a window: frames are decoded and counted",
    "none": "without a player: datagrams are counted",
}


class _StandardError(logging.Handler):
    """Writes to the standard error of the moment: above the status line while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201 - the handler's purpose


def _log_to_standard_error(level: int) -> None:
    handler = _StandardError()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


_RECEPTION_OPTIONS = (
    click.option("--reconnect/--no-reconnect", default=True, help="Connect again when session or server is lost."),
    click.option(
        "--receive-buffer",
        "receive_buffer_bytes",
        metavar="BYTES",
        default=_DEFAULTS.receive_buffer_bytes,
        show_default=True,
        help="The kernel's buffer of the media socket.",
    ),
    click.option(
        "--network-caching",
        "network_caching_ms",
        metavar="MS",
        default=_DEFAULTS.network_caching_ms,
        show_default=True,
        help="libvlc's own buffer, milliseconds: how far behind the stream it shows.",
    ),
    click.option(
        "--reorder",
        "reorder_ms",
        metavar="MS",
        default=_DEFAULTS.reorder_ms,
        show_default=True,
        help="How long to wait for a late datagram, milliseconds.",
    ),
    click.option(
        "--payload",
        type=click.Choice(get_args(PayloadKind)),
        default="rtp",
        show_default=True,
        help="Datagrams to ask for: RTP, or raw MPEG-TS, which does not show where datagrams were lost.",
    ),
    click.option(
        "--transport",
        type=click.Choice(get_args(TransportChoice)),
        default="auto",
        envvar="FLUME_TRANSPORT",
        show_default=True,
        show_envvar=True,
        help="What carries the media: UDP, or the control connection (TCP); auto: UDP, and TCP where it is blocked.",
    ),
    click.option(
        "--port",
        default=DEFAULT_PORT,
        envvar="FLUME_PORT",
        show_default=True,
        show_envvar=True,
        help="TCP port of the server's control; its reply names the UDP port.",
    ),
)
"""The options that fill :class:`ClientSettings`; decorators apply in reverse, so the last one is shown first."""


def _reception_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in _RECEPTION_OPTIONS:
        command = option(command)
    return command


@click.command()
@click.argument("host", envvar="FLUME_HOST")
@_reception_options
@access_options
@click.option(
    "--player",
    "player_kind",
    type=click.Choice(get_args(PlayerKind)),
    default="auto",
    show_default=True,
    help="auto: a window where possible; headless: decode and count frames unseen; none: count datagrams only.",
)
@click.option(
    "--decoder-threads",
    type=click.IntRange(0, 64),
    help="Decoder threads of libvlc; 0: one a CPU. The default is 1 when headless.",
)
@click.option("--script", metavar="STEPS", help='Give these commands, such as "connect; wait 3; interrupt", then end.')
@click.option("--commands", "commands_from", metavar="FILE", help="Read commands, one a line; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Write events as one JSON object a line on standard output.")
@click.option(
    "--frames",
    "record",
    is_flag=True,
    help="With --json: an event 'frames' a second, with the time of each picture shown, headless, and lost datagrams.",
)
@click.option(
    "--duration", "duration_s", type=click.FloatRange(min=0.1), metavar="SECONDS", help="End after this long."
)
@click.option("--state-file", type=click.Path(path_type=Path, dir_okay=False), help="For 'flume health client'.")
@click.option("-v", "--verbose", is_flag=True, help="Write more to standard error.")
@lasting_output()
def watch(
    *,
    host: str,
    player_kind: PlayerKind,
    decoder_threads: int | None,
    script: str | None,
    commands_from: str | None,
    as_json: bool,
    record: bool,
    duration_s: float | None,
    state_file: Path | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Receive the video of the server at HOST, show it, and steer the session.

    At a terminal, keys give the commands: i interrupt, c continue, d disconnect, k connect, s status, q quit.
    Without a terminal it connects, writes lines, and ends with the session or a signal.
    With --script or --commands only their commands are sent.

    The exit status is 1 when a step of a script was not carried out, or the session was lost for good.

    \b
      flume watch localhost
      flume watch localhost --player none --script "connect; wait 3; interrupt; wait 2; continue; wait 3; disconnect"
    """
    _log_to_standard_error(logging.DEBUG if verbose else logging.WARNING)
    settings = msgspec.convert({"host": host, "record": record, **options, **_access(options)}, ClientSettings)
    if record and not as_json:
        raise SettingsError("json", as_json, "true with --frames, which are JSON")
    if script and commands_from:
        raise SettingsError("script", script[:80], "either --script or --commands, not both")
    steps = parse_script(script, duration_s=duration_s) if script else ()
    server = endpoint(host, settings.port)
    player = open_player(
        player_kind,
        network_caching_ms=settings.network_caching_ms,
        decoder_threads=decoder_threads,
        title=f"flume {server} - key q in the terminal ends it",
        record=record,
    )
    interactive = not (steps or commands_from or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    alone = not (steps or commands_from or interactive)
    opening = f"watching {server}, {_SHOWN[player.statistics().kind]}"
    with _view(opening, as_json=as_json, interactive=interactive) as view:
        watching = Watching(
            view,
            state_file=state_file,
            duration_s=duration_s,
            end_with_session=alone,
            on_record=view.record if record and isinstance(view, JsonView) else None,
        )
        _on_signal(lambda number, _frame: sys.exit(128 + number))  # libvlc may take seconds to start
        client = Client(settings, player, on_event=watching.on_event).start()
        _on_signal(lambda *_: watching.end(SIGNAL))
        with _command_file(commands_from) as descriptor:
            watching.run(client, [_source(watching, steps, descriptor, interactive=interactive)])
    if (client.is_over and not client.was_played_out) or (steps and watching.failures):
        sys.exit(1)


def _access(options: dict[str, Any]) -> dict[str, object]:
    """Take the options of access out of *options*; return the settings that they mean, with the user's secret."""
    names = ("tls", "ca", "user", "secret_file", "login_without_tls")
    choice = access_choice(**{name: options.pop(name) for name in names})
    user, secret = choice.credentials or (None, None)
    return {"tls": choice.tls, "ca": choice.ca, "user": user, "secret": secret}


def _on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


@contextmanager
def _view(opening: str, *, as_json: bool, interactive: bool) -> Iterator[View]:
    if as_json:
        yield JsonView(sys.stdout)
    elif interactive:
        from flume.client.terminal.console import Console  # noqa: PLC0415 - rich is not needed otherwise

        with commands.single_keys(sys.stdin.fileno()), Console(opening) as console:
            yield console
    else:
        click.echo(opening)
        yield TextView(click.echo)


@contextmanager
def _command_file(name: str | None) -> Iterator[int | None]:
    if name is None or name == "-":
        with nullcontext():
            yield None if name is None else sys.stdin.fileno()
        return
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError as error:
        raise SettingsError("commands", name, f"a readable file, or - for standard input ({error.strerror})") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _source(
    watching: Watching, steps: tuple[Step, ...], descriptor: int | None, *, interactive: bool
) -> Callable[[], commands.CommandSource]:
    run, done = watching.run_command, watching.end
    if steps:
        return commands.script_source(steps, run, done).start
    if descriptor is not None:
        return commands.line_source(descriptor, run, done, watching.refuse).start
    if interactive:
        return commands.key_source(sys.stdin.fileno(), run, done, first=Command.CONNECT).start
    return commands.script_source((Step(Command.CONNECT),), run, lambda: None).start


@click.group()
def health() -> None:
    """Answer a health check: one line, exit status 0 for healthy and 1 for not."""


@health.command("client", short_help="Check the client that keeps its state in FILE.")
@click.argument("file", type=click.Path(path_type=Path))
def health_client(file: Path) -> None:
    """Check the client that keeps its state in FILE (flume watch --state-file)."""
    _answer(*check_client(file, now_s=time.time()))


@health.command("server")
@click.argument("host")
@click.option("--port", default=DEFAULT_PORT, envvar="FLUME_PORT", show_default=True, help="TCP port of its control.")
@click.option("--timeout", "timeout_s", default=3.0, show_default=True, help="Seconds to wait for its answer.")
@access_options
def health_server(*, host: str, port: int, timeout_s: float, **access: Any) -> None:
    """Check that the server at HOST answers."""
    _answer(*check_server(host, port, timeout_s=timeout_s, access=access_choice(**access)))


def _answer(is_healthy: bool, line: str) -> None:  # noqa: FBT001 - the two halves of an answer
    click.echo(line)
    sys.exit(0 if is_healthy else 1)
