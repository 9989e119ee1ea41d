"""``flume serve``."""

import asyncio
import logging
import signal
import sys

import click
import msgspec

from flume.errors import SourceError
from flume.server.app import Server
from flume.server.playlist import expand
from flume.server.source_vlc import VlcSource
from flume.settings import DEFAULT_PORT, ServerSettings

_DEFAULTS = ServerSettings()


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="TCP port of control and UDP port of media.")
@click.option("--once", is_flag=True, help="End after the last item instead of beginning again.")
@click.option("--transcode", metavar="CHAIN", help="libvlc transcode options, such as vcodec=h264,vb=2000,scale=0.5.")
@click.option("--tick", "tick_ms", default=_DEFAULTS.tick_ms, show_default=True, help="Sending interval, milliseconds.")
@click.option(
    "--batch",
    "batch_datagrams",
    default=_DEFAULTS.batch_datagrams,
    show_default=True,
    help="Most datagrams in one segmentation batch.",
)
@click.option("--segmentation/--no-segmentation", default=True, help="Use UDP segmentation offload where it works.")
@click.option("--max-sessions", default=_DEFAULTS.max_sessions, show_default=True, help="Most sessions in all.")
@click.option(
    "--max-sessions-per-address",
    default=_DEFAULTS.max_sessions_per_address,
    show_default=True,
    help="Most sessions of one address.",
)
@click.option("--json", "as_json", is_flag=True, help="Write events as one JSON object a line on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
def serve(
    *, sources: tuple[str, ...], once: bool, transcode: str | None, as_json: bool, verbose: bool, **options: object
) -> None:
    """Stream SOURCE… (files, folders, playlists, devices, network addresses) to every host that connects.

    Several sources play one after the other, then from the beginning. Try:

    \b
      flume serve film.mp4
      echo '{"command":"status"}' | nc -q1 localhost 5004
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    settings = msgspec.convert(options, ServerSettings)
    items = expand(sources)
    source = VlcSource(items, loop=not once, transcode=transcode)
    try:
        ended = asyncio.run(_serve(source, settings, as_json=as_json))
    finally:
        source.close()
    if as_json:
        _say_json(event="ended", reason=ended)
    else:
        click.echo(f"ended: {ended}")


async def _serve(source: VlcSource, settings: ServerSettings, *, as_json: bool) -> str:
    server = Server(source, settings)
    try:
        await server.start()
    except SourceError:
        await server.close()
        raise
    if as_json:
        _say_json(event="listening", host=settings.host, port=server.port, source=source.name)
    else:
        click.echo(f"listening on {settings.host} port {server.port} (TCP control, UDP media): {source.name}")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    return await server.run()


def _say_json(**fields: object) -> None:
    click.echo(msgspec.json.encode(fields))
