"""The options of a client's program by which it asks for TLS."""

from collections.abc import Callable

import click

from flume.client.session.control_link import TlsChoice

TLS_OPTIONS = (
    click.option(
        "--ca",
        metavar="FILE",
        envvar="FLUME_CA",
        show_envvar=True,
        help="PEM file of the issuer that signed the server's certificate, instead of the system's; implies --tls.",
    ),
    click.option(
        "--tls",
        is_flag=True,
        envvar="FLUME_TLS",
        show_envvar=True,
        help="Encrypt control, and media over TCP; the server's certificate is verified.",
    ),
)
"""Decorators apply in reverse: the last one is shown first."""


def tls_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the parameters ``tls`` and ``ca``."""
    for option in TLS_OPTIONS:
        command = option(command)
    return command


def tls_choice(*, tls: bool, ca: str | None) -> TlsChoice | None:
    """Return what the options ask for; ``None`` for a connection without TLS."""
    return TlsChoice(ca) if tls or ca is not None else None


def check_ca(ca: str | None) -> None:
    """Raise :class:`~flume.errors.SettingsError` for a file that holds no certificate."""
    if ca is not None:
        from flume.client.session.secure_socket import client_context  # noqa: PLC0415 - not needed otherwise

        client_context(ca)
