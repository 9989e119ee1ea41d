"""The program ``link-probe``: plugs, shapes, watches and measures the links of all clients in one call.

::

    link-probe apply SPEC      plug links into wires, set qdiscs, remember them, start or stop timed steps, read back
    link-probe read SPEC       what is remembered, and the qdiscs with their counters
    link-probe measure SPEC    send frames over the links and report when each one left and arrived
    link-probe steps           (started by `apply`) change links at the moments of their profiles' steps
    link-probe open DESCRIPTOR (started by `measure`) pass packet sockets of this namespace to the parent

SPEC is a Python literal: JSON without true, false and null. It is deflated, in base64, and in as many arguments as it
needs: the system allows 128 KiB for one. An answer has parts that begin with a line
``=== flumelab SUBJECT KIND``.
"""

import ast
import base64
import os
import sys
import zlib
from collections.abc import Sequence
from typing import Any

from probe import links, measuring, shaping, stepping
from probe.commands import ProbeError


def main(arguments: Sequence[str]) -> None:
    """Run one action; a :class:`ProbeError` ends the program with one line on standard error and status 1."""
    os.makedirs(links.STATE, exist_ok=True)
    try:
        match arguments:
            case ["apply", *spec]:
                shaping.apply(unpacked(spec))
            case ["read", *spec]:
                shaping.read_all(unpacked(spec))
            case ["measure", *spec]:
                measuring.measure(unpacked(spec))
            case ["steps"]:
                stepping.follow()
            case ["open", descriptor]:
                measuring.open_for_parent(int(descriptor))
            case _:
                raise ProbeError("usage: link-probe apply SPEC | read SPEC | measure SPEC")
    except ProbeError as error:
        sys.exit(f"link-probe: {error}")


def unpacked(spec: Sequence[str]) -> Any:
    """Return the value of a SPEC; raises :class:`ProbeError` where it is none.

    >>> unpacked([base64.b64encode(zlib.compress(b"{'wires': [7]}")).decode()])
    {'wires': [7]}
    """
    try:
        return ast.literal_eval(zlib.decompress(base64.b64decode("".join(spec))).decode())
    except (ValueError, zlib.error, SyntaxError) as error:
        raise ProbeError(f"the specification cannot be read: {error}") from error
