"""What the captured control connections say about the media: when datagrams may flow to which endpoint. Values only.

:mod:`flume.lab.trial.sessions` reconstructs them from the capture at the server.
"""

from typing import NamedTuple

from flume.lab.evidence.facts import Endpoint


class PathSwitch(NamedTuple):
    """From *time_s* on, the media go to another endpoint of the same host."""

    time_s: float
    media: Endpoint


class Span(NamedTuple):
    """A part of an active window: from *from_s* on and before *before_s* datagrams may go to *media*."""

    media: Endpoint
    from_s: float
    before_s: float


class ActiveWindow(NamedTuple):
    """An interval in which datagrams may flow to *media*; ``math.inf`` where the capture ends first."""

    control: Endpoint
    """The client's end of the control connection."""
    media: Endpoint
    """Where the datagrams may go at first: *control* itself over TCP."""
    opened_s: float
    closed_s: float
    grace_s: float
    opened_by: str
    """connect or continue."""
    closed_by: str
    """interrupt, disconnect, closed (the server ended it), connection (it ended), consent (it expired), or nothing."""
    first_sequence: int | None = None
    """The number of the first datagram, as the server announced it."""
    last_sequence: int | None = None
    """The number of the last datagram, as the server acknowledged it."""
    datagrams: int | None = None
    """This window's datagrams, as the server acknowledged them; None where no reply closed it."""
    opened_at: int | None = None
    """Over TCP: the position, in the server's bytes, of the message that opened it. None: over UDP."""
    closed_at: int | None = None
    """Position of the message that closed it; None where no message did."""
    switches: tuple[PathSwitch, ...] = ()
    """When the media went over to another port of the host, from which the token had come before."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where its datagrams may go, one after the other."""
        return (self.media, *(switch.media for switch in self.switches))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Each of :attr:`endpoints`, with the times from which and before which datagrams may go there.

        The last span has no end of its own: :attr:`limit_s` ends the window.
        """
        starts_s = [self.opened_s, *(switch.time_s for switch in self.switches)]
        return tuple(map(Span, self.endpoints, starts_s, [*starts_s[1:], float("inf")]))

    @property
    def limit_s(self) -> float:
        """The last time at which a datagram may leave."""
        return self.closed_s + self.grace_s


class CommandOutcome(NamedTuple):
    """A command that reached the server, and what became of it."""

    time_s: float
    control: Endpoint
    command: str
    answer: str | None
    """``ok``, the code of the refusal, or None: the capture holds no answer."""
    answered_s: float | None
    over_tcp: bool = False
    """Of connect: whether it asks for the media on the control connection itself."""


class UnknownInterval(NamedTuple):
    """An interval in which the capture does not show the state of a connection. Both ends belong to it."""

    address: str
    from_s: float
    to_s: float


class Sessions(NamedTuple):
    """All that the control connections say, each in the order of time."""

    windows: tuple[ActiveWindow, ...]
    commands: tuple[CommandOutcome, ...]
    unknown: tuple[UnknownInterval, ...]

    def of(self, address: str) -> "Sessions":
        """Return what belongs to the host *address*.

        A window belongs to the host that receives its datagrams, a command to the host that sent it.
        """
        return Sessions(
            tuple(window for window in self.windows if window.media[0] == address),
            tuple(command for command in self.commands if command.control[0] == address),
            tuple(interval for interval in self.unknown if interval.address == address),
        )
