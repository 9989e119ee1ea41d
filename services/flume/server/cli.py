"""``flume serve``."""

import asyncio
import logging
import resource
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from flume.control.endpoint import Address, endpoint, without_brackets
from flume.control.messages import UpstreamStatus
from flume.errors import SettingsError
from flume.lasting_output import lasting_output
from flume.server.app import Server
from flume.server.fronts.garbage import spare_what_stays
from flume.server.limits.descriptors import DESCRIPTORS_PER_SESSION
from flume.server.logs import set_up_logging
from flume.server.relay.address import one_upstream
from flume.server.relay.options import open_upstream, take_options, upstream_options
from flume.server.sources.expand import expand
from flume.server.sources.feed import Feed
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.server.sources.source import Source
from flume.settings import DEFAULT_PORT, ServerSettings

if TYPE_CHECKING:
    from flume.server.metrics.exporter import Exporter

SPARE_DESCRIPTORS = 128
"""For the ports, libvlc's files and plug-ins, and what is reserved (:data:`.descriptors.RESERVED`)."""

_DEFAULTS = ServerSettings()
_log = logging.getLogger(__name__)


class LimitsApart(click.Command):
    """A command whose options for limits stand under a heading of their own in ``--help``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all other options, then the limits."""
        records = [(param.name, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        for heading, is_limit in (("Options", False), ("Limits", True)):
            rows = [row for name, row in records if row is not None and (name in _LIMITS) is is_limit]
            with formatter.section(heading):
                formatter.write_dl(rows)


_LIMITS = {
    "tls_handshake_s": "Seconds that a TLS handshake may take.",
    "max_sessions": "Most sessions in all.",
    "max_sessions_per_address": "Most sessions of one address.",
    "max_sessions_per_network": "Most sessions of one IPv4 /24 or IPv6 /64.",
    "connections_per_s_per_address": "Most connections of one address that are taken a second.",
    "connections_per_s_per_network": "Most connections of one IPv4 /24 or IPv6 /64 that are taken a second.",
    "max_half_open": "Most connections whose client receives nothing yet; with more, the oldest give way.",
    "idle_control_s": "Seconds without a command after which a connection without a session is ended.",
    "commands_per_s": "Most commands a second of one connection; more wait, and after 10 s the connection is ended.",
    "commands_per_s_per_address": "Most commands a second of one address.",
    "commands_per_s_in_all": "Most commands a second in all.",
    "max_line_bytes": "Longest command line, in bytes.",
    "max_unsent_kib": "Replies that wait for a client that does not read, in KiB; with more, it is cut off.",
}
"""Settings that are limits, and their help. Each is an option of the same name; ``_s`` is spelt out."""


def _limit_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, text in reversed(_LIMITS.items()):
        option = "--" + name.replace("_per_s", "_per_second").removesuffix("_s").replace("_", "-")
        option = option.replace("idle-control", "idle-seconds").replace("-handshake", "-handshake-seconds")
        function = click.option(option, name, default=getattr(_DEFAULTS, name), show_default=True, help=text)(function)
    return function


@click.command(cls=LimitsApart)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="TCP port of control and UDP port of media.")
@click.option(
    "--allow",
    multiple=True,
    metavar="NETWORK",
    help="Serve only clients of this network or address, such as 192.0.2.0/24; may be repeated.",
)
@click.option(
    "--deny",
    multiple=True,
    metavar="NETWORK",
    help="Turn clients of this network away; of all networks that hold an address the most specific one decides.",
)
@click.option(
    "--tls-certificate",
    metavar="FILE",
    help="Encrypt control, and media over TCP, with the certificate in this PEM file.",
)
@click.option("--tls-key", metavar="FILE", help="PEM file of its key, if that is another one; for its owner only.")
@click.option(
    "--users",
    metavar="FILE",
    help="Let only the users in FILE watch: names and hashed secrets, made by 'flume users add FILE NAME'.",
)
@click.option("--login-without-tls", is_flag=True, help="Take secrets that come unencrypted.")
@click.option(
    "--rtsp/--no-rtsp",
    default=_DEFAULTS.rtsp,
    show_default=True,
    help="Serve other players too, such as VLC and ffplay: RTSP on the same port, RTCP on the next UDP port.",
)
@click.option(
    "--rtsp-udp/--no-rtsp-udp",
    default=_DEFAULTS.rtsp_udp,
    show_default=True,
    help="Send media to such players over UDP. Without it they take them on their RTSP connection.",
)
@click.option("--once", is_flag=True, help="End after the last item instead of beginning again.")
@click.option(
    "--ingest",
    type=click.Choice(["auto", "ffmpeg", "vlc"]),
    default="auto",
    show_default=True,
    help="What reads SOURCE; auto: FFmpeg, and libvlc for devices, for --transcode and for addresses that FFmpeg "
    "cannot open, but for those of the web.",
)
@click.option("--transcode", metavar="CHAIN", help="libvlc transcode options, such as vcodec=h264,vb=2000,scale=0.5.")
@click.option(
    "--live/--film", default=None, help="SOURCE continues while it is not read, or waits; by default it is asked."
)
@click.option(
    "--program", metavar="NUMBER|NAME", help="Program of a transport stream with several; the first otherwise."
)
@click.option("--turn", is_flag=True, help="Turn what phones recorded portrait: such films are encoded anew.")
@click.option(
    "--picture-seconds",
    "still_s",
    type=click.FloatRange(0.2, 86400),
    default=10.0,
    show_default=True,
    help="How long a still picture is shown.",
)
@click.option(
    "--tick",
    "tick_ms",
    default=_DEFAULTS.tick_ms,
    show_default=True,
    help="Sending interval, milliseconds: shorter is less bursty, 15 or 20 reaches more clients.",
)
@click.option(
    "--datagram-packets",
    default=_DEFAULTS.datagram_packets,
    show_default=True,
    help="MPEG-TS packets in a datagram, 1 to 7: six fit a path with an MTU of 1280, such as a tunnel.",
)
@click.option(
    "--batch",
    "batch_datagrams",
    default=_DEFAULTS.batch_datagrams,
    show_default=True,
    help="Most datagrams in one segmentation batch.",
)
@click.option(
    "--sender",
    type=click.Choice(["auto", "io_uring", "loop"]),
    default=_DEFAULTS.sender,
    show_default=True,
    help="One system call a tick (io_uring), or one a client (loop); auto takes the first where it works.",
)
@click.option(
    "--ring-mib",
    default=_DEFAULTS.ring_mib,
    show_default=True,
    help="Most memory for the recent past, from which clients join at a keyframe: MiB.",
)
@click.option(
    "--ring-seconds",
    "ring_s",
    default=_DEFAULTS.ring_s,
    show_default=True,
    help="Oldest keyframe at which a client may join.",
)
@click.option("--segmentation/--no-segmentation", default=True, help="Use UDP segmentation offload where it works.")
@upstream_options
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Answer Prometheus at http://HOST:PORT/metrics; without HOST on loopback alone. Needs flumelab[metrics].",
)
@_limit_options
@click.option("--json", "as_json", is_flag=True, help="Write events as one JSON object a line on standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
@lasting_output()
def serve(
    *, sources: tuple[str, ...], once: bool, as_json: bool, verbose: bool, metrics: str | None, **options: Any
) -> None:
    """Stream SOURCE… (files, folders, playlists, devices, network addresses) to every host that connects.

    Several sources play one after the other, then from the beginning. The source flume://HOST:PORT is another server of
    this kind: this one passes its stream on. Try:

    \b
      flume serve film.mp4
      echo '{"command":"status"}' | nc -q1 localhost 5004
    """
    set_up_logging(verbose=verbose)
    above, upstream = one_upstream(sources), take_options(options)
    reading = SourceOptions(
        loop=not once, **{name: options.pop(name) for name in SourceOptions._fields if name != "loop"}
    )
    options["host"] = without_brackets(options["host"])
    settings = msgspec.convert(options, ServerSettings)
    scraped_at = None if metrics is None else metrics_address(metrics)
    _allow_descriptors(settings.max_sessions)
    source = ItemSource(expand(sources), reading) if above is None else open_upstream(above, upstream, settings)
    try:
        ended = asyncio.run(_serve(source, settings, scraped_at, as_json=as_json))
    finally:
        source.close()
    if as_json:
        _say_json(event="ended", reason=ended)
    else:
        click.echo(f"ended: {ended}")


async def _serve(source: Source | Feed, settings: ServerSettings, scraped_at: Address | None, *, as_json: bool) -> str:
    server = Server(source, settings)
    loop = asyncio.get_running_loop()
    exporter = None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    if isinstance(source, Feed):
        source.on_change = partial(_say_upstream, as_json=as_json)
    try:
        exporter = None if scraped_at is None else _start_exporter(server, loop, *scraped_at)
        if await server.start():
            spare_what_stays()
            _say_listening(server, None if exporter is None else exporter.address, as_json=as_json)
        return await server.run()
    finally:
        if exporter is not None:
            await asyncio.to_thread(exporter.close)
        await server.close()


def metrics_address(text: str) -> Address:
    """Return where metrics are answered: host and port in *text*; raises :class:`SettingsError`.

    >>> metrics_address("9100"), metrics_address("[::]:9100")
    (('127.0.0.1', 9100), ('::', 9100))
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError("metrics", text, "PORT or HOST:PORT, such as 9100 or [::1]:9100")
    return without_brackets(host) or "127.0.0.1", int(port)


def _start_exporter(server: Server, loop: asyncio.AbstractEventLoop, host: str, port: int) -> "Exporter":
    """Answer scrapes from now on; raises :class:`SettingsError` without the package for that."""
    try:
        from flume.server.metrics.exporter import Exporter  # noqa: PLC0415 - 3 MB, and most servers need none
    except ModuleNotFoundError as error:
        reason = f"with the package prometheus-client ({error}): pip install 'flumelab[metrics]'"
        raise SettingsError("metrics", endpoint(host, port), reason) from error
    return Exporter(server.figures, loop, host, port)


def _say_listening(server: Server, scraped_at: Address | None, *, as_json: bool) -> None:
    host, source, has_tls = server.settings.host, server.source_name, server.settings.tls_certificate is not None
    if as_json:
        metrics = None if scraped_at is None else endpoint(*scraped_at)
        _say_json(
            event="listening",
            host=host,
            port=server.port,
            tls=has_tls,
            source=source,
            rtsp=server.rtsp_address,
            metrics=metrics,
        )
        return
    control = "TCP control with TLS" if has_tls else "TCP control"
    click.echo(f"listening on {host} port {server.port} ({control}, UDP media): {source}")
    if server.rtsp_address is not None:
        click.echo(f"for other players, such as VLC: {server.rtsp_address}")
    if scraped_at is not None:
        click.echo(f"for Prometheus: http://{endpoint(*scraped_at)}/metrics")


def _say_upstream(status: UpstreamStatus, *, as_json: bool) -> None:
    if as_json:
        _say_json(event="upstream", **msgspec.structs.asdict(status))
        return
    click.echo(f"{status.address} is {status.state}" + ("" if status.error is None else f": {status.error}"))


def _allow_descriptors(sessions: int) -> None:
    """Raise the limit on open files to what *sessions* need, as far as this user may, and say if that is too little."""
    needed = sessions * DESCRIPTORS_PER_SESSION + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "%d open files are allowed (ulimit -n, LimitNOFILE=): enough for about %d of %d sessions",
            allowed,
            max(0, allowed - SPARE_DESCRIPTORS) // DESCRIPTORS_PER_SESSION,
            sessions,
        )


def _say_json(**fields: object) -> None:
    click.echo(msgspec.json.encode(fields).decode())
