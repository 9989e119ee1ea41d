"""What is asked over the control socket, and the answers: Python literals. Pure.

==============================================================  ==================================
request                                                         answer
==============================================================  ==================================
``{"do": "plug", "client": "c3", "bridge": "b3"}``              ``{"pair": 2}``
``{"do": "tc", "lines": "qdisc replace dev vec0 …\\n…"}``        ``{"output": "…"}``
``{"do": "status"}``                                            ``{"links": 8, "spare": 3}``
anything that fails                                             ``{"error": "one line"}``
==============================================================  ==================================
"""

import ast
import re
from typing import NamedTuple

MAX_BYTES = 4 << 20
"""Longest request: the tc commands of 1,000 links are 0.3 MB."""

_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")


class WireError(Exception):
    """A request cannot be met; the message is one line."""


class Plug(NamedTuple):
    """Bind the next spare pair of sockets to two interfaces of this namespace."""

    client: str
    bridge: str


class Tc(NamedTuple):
    """Run tc commands in the kernel of the wire, one a line."""

    lines: str


class Status(NamedTuple):
    """Report how many pairs of sockets there are, and how many are spare."""


Request = Plug | Tc | Status


def parse(data: bytes) -> Request:
    """Return the request in *data*; raises :class:`WireError`.

    >>> parse(b'{"do": "plug", "client": "c3", "bridge": "b3"}')
    Plug(client='c3', bridge='b3')
    """
    try:
        literal = ast.literal_eval(data.decode())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise WireError(f"the request is no Python literal: {one_line(str(error))}") from error
    match literal:
        case {"do": "plug", "client": str(client), "bridge": str(bridge), **rest} if not rest:
            for name in (client, bridge):
                if not _INTERFACE.fullmatch(name):
                    raise WireError(f"{name!r} is no name of an interface")
            return Plug(client, bridge)
        case {"do": "tc", "lines": str(lines), **rest} if not rest:
            return Tc(lines)
        case {"do": "status", **rest} if not rest:
            return Status()
    raise WireError(f"unknown request {one_line(repr(literal))}")


def one_line(text: str) -> str:
    """Return *text* in one line of at most 300 characters.

    >>> one_line("Error: no such device.\\nCommand failed -:1\\n")
    'Error: no such device. Command failed -:1'
    """
    return " ".join(text.split())[:300]


def event(name: str, **values: int | str) -> str:
    """Return one JSON line for the container's standard output.

    >>> event("ended", reason='no "init"')
    '{"event": "ended", "reason": "no \\\\"init\\\\""}'
    """
    return "{" + ", ".join(f"{_quoted(key)}: {_json(value)}" for key, value in {"event": name, **values}.items()) + "}"


def _json(value: int | str) -> str:
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
