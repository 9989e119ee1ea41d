"""The programs that clients of a lab are: flume's own, or another player. Pure.

Players are dealt out in turn; a scenario's part may name its own. The scenario's commands are flume's, and each player
is told them in the words of its driver (``compose/README.md``).
"""

from collections.abc import Sequence
from typing import NamedTuple

from flume.control.session import Command
from flume.errors import SettingsError

FLUME = "flume"
"""Our own client."""

PLAYERS = ("vlc", "ffplay", "mpv", "gstreamer")
"""Other people's players, in the image ``flumelab/players``."""

TRANSPORTS = ("udp", "tcp")
_QUICK = "quick"

SERVER = "server"
"""The server's name on the network of a lab."""

WORDS = {
    Command.CONNECT: "play",
    Command.INTERRUPT: "pause",
    Command.CONTINUE: "resume",
    Command.DISCONNECT: "stop",
}
"""Commands of a scenario → what a player is told."""


class Program(NamedTuple):
    """What one client runs. *transport* is what a player is to take the media by.

    *quick*: with settings by which the player joins sooner than by its defaults.
    """

    name: str = FLUME
    transport: str = "udp"
    quick: bool = False

    @property
    def is_flume(self) -> bool:
        """Whether it is our own client."""
        return self.name == FLUME

    def __str__(self) -> str:
        """Return its name as a person writes it: ``mpv``, ``mpv:tcp``, ``mpv:tcp:quick``."""
        options = ((self.transport, self.transport != "udp"), (_QUICK, self.quick))
        return ":".join((self.name, *(option for option, given in options if given)))

    def command(self, server: str = SERVER) -> tuple[str, ...]:
        """Return the arguments of its driver; *server*: name or address of the server that it watches."""
        return (
            self.name,
            f"rtsp://{server}:5004/",
            "--transport",
            self.transport,
            *(("--quick",) if self.quick else ()),
        )


OURS = Program()


class ClientOptions(NamedTuple):
    """Settings of flume's own clients in a run; None leaves the client's default."""

    transport: str | None = None
    """``udp`` or ``tcp``."""
    reorder_ms: float | None = None
    """How long a gap waits for a late datagram."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of ``flume watch``.

        >>> ClientOptions(reorder_ms=120).arguments
        ('--reorder', '120')
        """
        transport = () if self.transport is None else ("--transport", self.transport)
        reorder = () if self.reorder_ms is None else ("--reorder", f"{self.reorder_ms:g}")
        return (*transport, *reorder)


DEFAULTS = ClientOptions()


def word(program: str, command: Command) -> str:
    """Return *command* as the client *program* takes it on its standard input.

    >>> word("mpv", Command.INTERRUPT), word("flume", Command.INTERRUPT)
    ('pause', 'interrupt')
    """
    return str(command) if program == FLUME else WORDS[command]


def parse_program(text: str, *, key: str = "players") -> Program:
    """Return the program that *text* names. Raises :class:`SettingsError` that lists those there are.

    >>> parse_program("gstreamer:tcp")
    Program(name='gstreamer', transport='tcp', quick=False)
    """
    name, *options = text.strip().split(":")
    if name == FLUME and not options:
        return OURS
    transports = [option for option in options if option in TRANSPORTS]
    others = [option for option in options if option not in TRANSPORTS]
    if name not in PLAYERS or len(transports) > 1 or others not in ([], [_QUICK]):
        allowed = f"{FLUME}, {', '.join(PLAYERS)}, or one of the last four with :tcp, :{_QUICK} or both"
        raise SettingsError(key, text, allowed)
    return Program(name, transports[0] if transports else "udp", quick=bool(others))


def parse_players(text: str | None) -> tuple[int | None, tuple[Program, ...]]:
    """Return the number of clients with a player, None for all; and the programs to deal out.

    >>> parse_players("2")[0], [str(program) for program in parse_players("flume,vlc:quick")[1]]
    (2, ['flume', 'vlc:quick'])
    """
    if text is None:
        return None, (OURS,)
    if text.strip().lstrip("-").isdecimal():
        return int(text), (OURS,)
    return None, tuple(parse_program(name) for name in text.split(","))


def deal(clients: int, programs: Sequence[Program], named: Sequence[str | None] = (None,)) -> tuple[Program, ...]:
    """Return the program of each client, in turn; *named* are the players that the scenario's parts name, in turn too.

    >>> [str(one) for one in deal(3, [OURS, Program("mpv")], [None, None, "vlc"])]
    ['flume', 'mpv', 'vlc']
    """
    dealt = []
    for number in range(clients):
        name = named[number % len(named)]
        dealt.append(programs[number % len(programs)] if name is None else parse_program(name, key="part.player"))
    return tuple(dealt)
