"""``flume users``: the file of ``flume serve --users``."""

import getpass
import secrets
import sys
from pathlib import Path

import click

from flume.errors import SettingsError
from flume.server.access.hashing import make_hash
from flume.server.access.users_file import changing, check_name, read_users

LEAST_CHARACTERS, MOST_CHARACTERS = 8, 256
_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def users() -> None:
    """Keep the names and hashed secrets of 'flume serve --users FILE'.

    A running server reads the file again when it has changed. Who watches already, watches on.
    """


@users.command()
@_FILE
@click.argument("name")
@click.option("--generate", is_flag=True, help="Make a secret of 96 random bits and print it, once.")
def add(path: Path, name: str, *, generate: bool) -> None:
    """Add NAME to FILE, or give it another secret. FILE is made if it is not there.

    The secret is asked for at a terminal; elsewhere it is the first line of standard input.

    \b
      flume users add /etc/flume/users ann
      flume users add /etc/flume/users ben < secret.txt
    """
    check_name(name)
    secret = secrets.token_urlsafe(12) if generate else _ask()
    if not LEAST_CHARACTERS <= len(secret) <= MOST_CHARACTERS or not secret.isprintable():
        raise SettingsError("secret", len(secret), f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} printable characters")
    line = f"{name}:{make_hash(secret)}"
    with changing(path) as lines:
        kept = [each for each in lines if not each.startswith(f"{name}:")]
        was_there = len(kept) < len(lines)
        lines[:] = [*kept, line]
    click.echo(f"{name} has another secret" if was_there else f"{name} was added", err=generate)
    if generate:
        click.echo(secret)


@users.command()
@_FILE
@click.argument("name")
def remove(path: Path, name: str) -> None:
    """Remove NAME from FILE."""
    check_name(name)
    if name not in read_users(path):
        raise SettingsError("name", name, f"a user in {path}")
    with changing(path) as lines:
        lines[:] = [each for each in lines if not each.startswith(f"{name}:")]
    click.echo(f"{name} was removed")


@users.command("list")
@_FILE
def list_users(path: Path) -> None:
    """Print the names in FILE."""
    for name in read_users(path):
        click.echo(name)


def _ask() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(4096).rstrip("\r\n")
    secret = getpass.getpass("Secret: ")
    if getpass.getpass("Once more: ") != secret:
        raise SettingsError("secret", None, "the same text twice")
    return secret
