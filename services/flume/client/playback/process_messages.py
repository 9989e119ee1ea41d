"""What the client and the process of its libvlc say to each other: commands and events, as JSON.

The client sends one :class:`Play`, and the process answers :class:`Listening`. From then on each :class:`Ask` is
answered by a :class:`Report`. :class:`Failed` may come at any point, and ends what the process does. To stop it the
client kills the process: nothing has to be cleaned up in it. All times are CLOCK_MONOTONIC, which both processes share.
"""

import msgspec


class Examine(msgspec.Struct, frozen=True, tag="examine"):
    """Find out whether a window can be opened; answered by :class:`Examined`."""


class Play(msgspec.Struct, frozen=True, kw_only=True, tag="play"):
    """Play what comes to a UDP port of 127.0.0.1; sent once."""

    windowed: bool
    """In a window, or into memory."""
    instance_options: tuple[str, ...]
    media_options: tuple[str, ...]
    buffer_s: float
    """libvlc's own buffer."""
    expected: int = 0
    """The number of the latest :class:`Expect`, of which this process is told now."""
    record: bool = False
    """Name each picture in the reports; without a window only."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Report what was displayed."""


class Expect(msgspec.Struct, frozen=True, tag="expect"):
    """A command that leads to a new frame was granted: from now on look for the first one."""

    number: int


class Received(msgspec.Struct, frozen=True, tag="received"):
    """The first datagram after :class:`Expect` went to libvlc."""

    time_s: float


class Examined(msgspec.Struct, frozen=True, tag="examined"):
    """Why no window can be opened, with the remedy; ``None``: one can."""

    obstacle: str | None


class Listening(msgspec.Struct, frozen=True, tag="listening"):
    """libvlc listens at this UDP port of 127.0.0.1."""

    port: int


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report", omit_defaults=True):
    """What this process has displayed since it began."""

    frames: int = 0
    last_s: float | None = None
    """When the latest frame was displayed."""
    expected: int = 0
    """The number of the latest :class:`Expect`."""
    first_s: float | None = None
    """When the first frame after that was displayed."""
    number: int | None = None
    """The test card's frame number in the latest picture, if it shows one."""
    width: int = 0
    height: int = 0
    shown: tuple[tuple[float, int | None], ...] = ()
    """The pictures displayed since the last report, where they are recorded: when, and the test card's number."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """libvlc does not play, for *reason*: what was seen and what to try, for people."""

    reason: str


Command = Examine | Play | Ask | Expect | Received
Event = Examined | Listening | Report | Failed

_encoder = msgspec.json.Encoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """Return *message* as JSON.

    >>> encode(Listening(4711))
    b'{"type":"listening","port":4711}'
    """
    return _encoder.encode(message)


def decode_command(data: bytes) -> Command:
    """Return the command in *data*; raises :class:`msgspec.DecodeError`."""
    return _command_decoder.decode(data)


def decode_event_untrusted(data: bytes) -> Event:
    """Return the event in *data*, which a damaged process may have written; raises :class:`msgspec.DecodeError`."""
    try:
        return _event_decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:  # of text that is not UTF-8, and of deep nesting
        raise msgspec.DecodeError(str(error)) from error
