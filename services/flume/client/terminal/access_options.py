"""The options of a client's program by which it asks for TLS and logs in."""

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from flume.client.session.control_link import AccessChoice, Credentials
from flume.errors import SettingsError
from flume.private_files import check_private
from flume.secret import Secret

SECRET_VARIABLE = "FLUME_SECRET"  # noqa: S105 - a name

_OPTIONS = (
    click.option(
        "--login-without-tls", is_flag=True, help="Send the secret unencrypted, where anyone on the path can read it."
    ),
    click.option(
        "--secret-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help=f"File with the user's secret, for its owner only; without it {SECRET_VARIABLE}, or you are asked.",
    ),
    click.option("--user", metavar="NAME", envvar="FLUME_USER", show_envvar=True, help="Log in with this name."),
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


def access_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the parameters that :func:`access_choice` takes."""
    for option in _OPTIONS:
        command = option(command)
    return command


def access_choice(
    *, tls: bool, ca: str | None, user: str | None, secret_file: Path | None, login_without_tls: bool
) -> AccessChoice:
    """Return what the options ask for, with the user's secret; raises :class:`SettingsError`."""
    if ca is not None:
        from flume.client.session.secure_socket import client_context  # noqa: PLC0415 - OpenSSL is not needed otherwise

        client_context(ca)
    variable = os.environ.pop(SECRET_VARIABLE, None)  # the programs that this one starts need not have it
    if user is None:
        return AccessChoice(tls=tls or ca is not None, ca=ca)
    if not (tls or ca is not None or login_without_tls):
        allowed = "together with --tls, or anyone on the path reads the secret (--login-without-tls permits that)"
        raise SettingsError("user", user, allowed)
    credentials = Credentials(user, Secret(_secret(user, secret_file, variable)))
    return AccessChoice(tls=tls or ca is not None, ca=ca, credentials=credentials)


def _secret(user: str, secret_file: Path | None, variable: str | None) -> str:
    if secret_file is not None:
        check_private(secret_file, key="secret_file")
        with secret_file.open(encoding="utf-8", errors="replace") as file:
            return file.readline(4096).rstrip("\r\n")
    if variable is not None:
        return variable
    if sys.stdin.isatty():
        return getpass.getpass(f"Secret of {user}: ")
    raise SettingsError("secret", None, f"give --secret-file FILE or {SECRET_VARIABLE}, or start this at a terminal")
