"""The command ``flume``: imports a subcommand when it is used, so that each image needs only its own packages."""

import contextlib
import errno
import importlib
import sys
from typing import NoReturn

import click

from flume import __version__
from flume.errors import FlumeError
from flume.lasting_output import drop_unwritten

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a disk answers that takes no more."""

_COMMANDS = {
    "serve": ("flume.server.cli", "serve", "Stream a video to many hosts."),
    "watch": ("flume.client.cli", "watch", "Receive and show the video of a server."),
    "doctor": ("flume.doctor.cli", "doctor", "Report which leg of the path to a server is blocked, and how."),
    "inspect": ("flume.inspect.cli", "inspect", "Measure the streams in a capture, a TS file or at an address."),
    "health": ("flume.client.cli", "health", "Answer a health check of a server or client."),
    "users": ("flume.server.users", "users", "Keep the users of a server and their secrets."),
    "lab": ("flume.lab.cli", "lab", "Run server and clients on a network you control."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use; ``--help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command. Raises :class:`FlumeError` with the command that installs a missing extra."""
        if cmd_name not in _COMMANDS:
            return None
        module_name, attribute, _ = _COMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            missing, extra = error.name or "", module_name.split(".")[1]
            if missing == f"flume.{extra}":  # the images leave folders out
                raise FlumeError(
                    f"'flume {cmd_name}' is not part of this image: pip install 'flumelab[{extra}]'"
                ) from error
            if missing.partition(".")[0] == "flume":
                raise
            raise FlumeError(
                f"'flume {cmd_name}' needs the package {error.name}: pip install 'flumelab[{extra}]'"
            ) from error
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FLUME"})
@click.version_option(__version__, prog_name="flume")
def flume() -> None:
    """Stream one video to many hosts over UDP, steer each over TCP, and prove what each received."""


def main() -> None:
    """Run the command. A :class:`FlumeError` becomes one line on standard error and its own exit status.

    So does an output that cannot be written: an answer that is not complete is no success.
    """
    try:
        flume(prog_name="flume", standalone_mode=True)
    except FlumeError as error:
        _end(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        _end(f"the output cannot be written: {error.strerror}", 1)


def _end(line: str, status: int) -> NoReturn:
    with contextlib.suppress(OSError):
        click.echo(f"flume: {line}", err=True)
    for stream in (sys.stdout, sys.stderr):
        drop_unwritten(stream)
    sys.exit(status)


if __name__ == "__main__":
    main()
