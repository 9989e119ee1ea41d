"""The options of ``flume serve`` for the server that a relay takes its stream from."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flume.control.endpoint import without_brackets
from flume.errors import SettingsError
from flume.server.relay.address import UpstreamAddress
from flume.settings import ClientSettings, ServerSettings, TransportChoice
from flume.sockaddr import has_address

if TYPE_CHECKING:
    from flume.server.relay.upstream import Upstream

_OPTIONS = (
    click.option("--upstream-tls", is_flag=True, help="Encrypt the control connection to the upstream."),
    click.option(
        "--upstream-ca",
        metavar="FILE",
        help="PEM file of the issuer that signed the upstream's certificate; implies --upstream-tls.",
    ),
    click.option("--upstream-user", metavar="NAME", help="Log in to the upstream with this name."),
    click.option(
        "--upstream-secret-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="File with that user's secret, for its owner only; without it FLUME_SECRET, or you are asked.",
    ),
    click.option("--upstream-login-without-tls", is_flag=True, help="Send that secret unencrypted."),
    click.option(
        "--upstream-transport",
        type=click.Choice(["auto", "udp", "tcp"]),
        default="auto",
        show_default=True,
        help="What carries the media from the upstream; auto: UDP, and TCP where UDP does not arrive.",
    ),
)


class UpstreamOptions(NamedTuple):
    """What a person chose of them."""

    upstream_tls: bool
    upstream_ca: str | None
    upstream_user: str | None
    upstream_secret_file: Path | None
    upstream_login_without_tls: bool
    upstream_transport: TransportChoice


def upstream_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give *function* the parameters of :class:`UpstreamOptions`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_options(options: dict[str, Any]) -> UpstreamOptions:
    """Take the parameters of :func:`upstream_options` out of *options*."""
    return UpstreamOptions(**{name: options.pop(name) for name in UpstreamOptions._fields})


def open_upstream(address: UpstreamAddress, options: UpstreamOptions, settings: ServerSettings) -> "Upstream":
    """Return the feed of a relay with *settings*; raises :class:`SettingsError`."""
    from flume.client.terminal.access_options import access_choice  # noqa: PLC0415 - most servers are no relays
    from flume.server.relay.upstream import Upstream  # noqa: PLC0415 - the same

    if is_itself(address, settings):
        allowed = f"another server: port {address.port} of {address.host} is where this one listens"
        raise SettingsError("source", address.text, allowed)
    access = access_choice(
        tls=options.upstream_tls,
        ca=options.upstream_ca,
        user=options.upstream_user,
        secret_file=options.upstream_secret_file,
        login_without_tls=options.upstream_login_without_tls,
    )
    client = ClientSettings(
        host=address.host,
        port=address.port,
        tls=access.tls,
        ca=access.ca,
        user=None if access.credentials is None else access.credentials.user,
        secret=None if access.credentials is None else access.credentials.secret,
        transport=options.upstream_transport,
    )
    return Upstream(address, client, packets=settings.datagram_packets, tick_s=settings.tick_ms / 1000)


def is_itself(address: UpstreamAddress, settings: ServerSettings) -> bool:
    """Whether *address* is one that a server with *settings* listens at, as far as that shows without a name server.

    A relay finds other names of itself, and loops over others, when it asks its upstream.
    """
    if address.port != settings.port:
        return False
    host = "127.0.0.1" if address.host.lower() == "localhost" else without_brackets(address.host)
    return host == settings.host or (settings.host in {"0.0.0.0", "::"} and _is_address(host) and has_address(host))


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
