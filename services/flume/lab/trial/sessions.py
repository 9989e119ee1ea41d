"""When the server was allowed to send to which endpoint: read from the capture at its own interface. Pure.

Windows come from commands, replies and events as values, in the order in which they passed the server's interface.
This module knows no dialect, no log of a program and no code under test.

>>> from flume.lab.evidence.facts import Command, Consent, ControlStart, Reply, Tap, TapFacts
>>> client, media = ("198.18.0.11", 40000), ("198.18.0.11", 50000)
>>> tap = Tap("server", "eth0", "server.pcap", 5, 0, 262144, 0.0, 9.0, None)
>>> messages = (
...     Command(1.0, client, "connect"),
...     Reply(1.1, client, "connect", token=b"00ff"),
...     Command(5.0, client, "interrupt"),
...     Reply(5.1, client, "interrupt", datagrams=300),
... )
>>> facts = TapFacts(tap, (), (ControlStart(0.9, client),), messages, (), (Consent(1.2, media, b"00ff"),))
>>> [(window.opened_s, window.closed_s) for window in reconstruct(facts).windows]
[(1.2, 5.1)]
"""

from collections import deque
from collections.abc import Iterable, Iterator

from flume.lab.evidence.facts import (
    Command,
    Consent,
    ControlEnd,
    ControlMessage,
    ControlStart,
    Endpoint,
    Reply,
    TapFacts,
)
from flume.lab.trial.connection import ConnectionFollower
from flume.lab.trial.windows import PathSwitch, Sessions


def reconstruct(facts: TapFacts) -> Sessions:
    """Return windows, commands and unknown intervals, each in the order of time, from the server's tap."""
    connections = list(_follow(facts))
    windows = [window for connection in connections for window in connection.windows]
    commands = [command for connection in connections for command in connection.commands]
    return Sessions(
        tuple(sorted(windows, key=lambda window: window.opened_s)),
        tuple(sorted(commands, key=lambda command: command.time_s)),
        tuple(interval for connection in connections for interval in connection.unknown),
    )


_Event = ControlStart | ControlMessage | ControlEnd | Consent | PathSwitch


def _events(facts: TapFacts) -> list[_Event]:
    """Return everything in the order of time; at the same time, a connection's messages come before its end."""
    switches = _path_switches(facts)
    merged: list[_Event] = [*facts.starts, *facts.messages, *facts.ends, *facts.consents, *switches]
    return sorted(merged, key=lambda event: event.time_s)


def _path_switches(facts: TapFacts) -> Iterator[PathSwitch]:
    """Yield each datagram over UDP that goes to another endpoint of its host than the one before.

    The first one behind a grant of ``continue`` is yielded, too: it may be that of another session.
    """
    last: dict[str, Endpoint] = {}
    grants = deque(reply for reply in facts.messages if isinstance(reply, Reply) and reply.command == "continue")
    for datagram in facts.media:
        while grants and grants[0].time_s <= datagram.time_s:
            last.pop(grants.popleft().client[0], None)
        if datagram.offset is None and last.get(datagram.destination[0]) != datagram.destination:
            last[datagram.destination[0]] = datagram.destination
            yield PathSwitch(datagram.time_s, datagram.destination)


def _follow(facts: TapFacts) -> Iterator[ConnectionFollower]:
    """Yield each control connection, followed to its end or to the end of the capture."""
    live: dict[Endpoint, ConnectionFollower] = {}
    for event in _events(facts):
        if isinstance(event, Consent | PathSwitch):
            for owner in _owners(event, live.values()):
                owner.media_event(event)
            continue
        connection = live.get(event.client)
        if isinstance(event, ControlStart):
            if connection is not None:  # The port is used again, perhaps by a host that was cut off before.
                connection.end(ControlEnd(event.time_s, event.client, by_server=False))
                connection.finish(event.time_s)
                yield connection
            live[event.client] = ConnectionFollower(event.client)
        elif isinstance(event, ControlEnd):
            if connection is not None:
                connection.end(event)
        else:
            if connection is None:
                connection = live[event.client] = ConnectionFollower(event.client, unknown_from_s=facts.tap.first_s)
            _hand_over(event, connection)
    for connection in live.values():
        connection.finish(facts.tap.last_s)
        yield connection


def _owners(event: Consent | PathSwitch, connections: Iterable[ConnectionFollower]) -> list[ConnectionFollower]:
    """Return the connections whose sessions *event* belongs to, or may belong to."""
    endpoint = event.client if isinstance(event, Consent) else event.media
    live = [each for each in connections if each.control[0] == endpoint[0] and each.is_live(event.time_s)]
    return _owners_of_token(event, live) if isinstance(event, Consent) else _owners_of_media(event, live)


def _owners_of_token(consent: Consent, live: list[ConnectionFollower]) -> list[ConnectionFollower]:
    """Return the session with that token; else those of that port; else all that need no token.

    A datagram without a token, from a port that no session has, may be that of any session which has named a port.
    """
    exact = [each for each in live if each.has_token(consent.payload)]
    if exact:
        return exact[:1]
    there = [each for each in live if each.receives_at(consent.client) or each.has_named(consent.client)]
    return [each for each in there or live if each.names_port]


def _owners_of_media(switch: PathSwitch, live: list[ConnectionFollower]) -> list[ConnectionFollower]:
    """Return the session whose media go to another endpoint, if one's do.

    A token says whose they are, and a port that was named, too. Otherwise they belong to the session that began to
    receive last, unless they go where those of another session go, or to the port that another one has named.
    """
    moving = [each for each in live if each.may_move(switch)]
    exact = [each for each in moving if not each.names_port]
    if exact:
        return exact[:1]
    if any(each.receives_at(switch.media) for each in live):
        return []
    named = [each for each in live if each.has_named(switch.media)]
    candidates = [each for each in moving if each in named] if named else moving
    return sorted(candidates, key=lambda each: each.opened_s)[-1:]


def _hand_over(message: ControlMessage, connection: ConnectionFollower) -> None:
    if isinstance(message, Command):
        connection.command(message)
    elif isinstance(message, Reply):
        connection.reply(message)
    else:
        connection.event(message)
