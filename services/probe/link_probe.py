"""The program ``link-probe``: plugs, shapes, watches and measures the links of all clients in one call.

::

    link-probe apply SPEC      plug links into wires, set qdiscs, remember them, start or stop timed steps, read back
    link-probe read SPEC       what is remembered, and the qdiscs with their counters
    link-probe measure SPEC    send frames over the links and report when each one left and arrived
    link-probe steps SPEC      (started by `apply`) change one link at the moments of its profile's steps
    link-probe open DESCRIPTOR (started by `measure`) pass packet sockets of this namespace to the parent

SPEC is a Python literal: JSON without true, false and null. An answer has parts that begin with a line
``=== flumelab SUBJECT KIND``.
"""

import ast
import os
import sys
from collections.abc import Sequence

from probe import links, measuring, shaping
from probe.commands import ProbeError


def main(arguments: Sequence[str]) -> None:
    """Run one action; a :class:`ProbeError` ends the program with one line on standard error and status 1."""
    os.makedirs(links.STATE, exist_ok=True)
    try:
        match arguments:
            case ["apply", spec]:
                shaping.apply(ast.literal_eval(spec))
            case ["read", spec]:
                shaping.read_all(ast.literal_eval(spec))
            case ["measure", spec]:
                measuring.measure(ast.literal_eval(spec))
            case ["steps", spec]:
                shaping.follow_steps(ast.literal_eval(spec))
            case ["open", descriptor]:
                measuring.open_for_parent(int(descriptor))
            case _:
                raise ProbeError("usage: link-probe apply SPEC | read SPEC | measure SPEC")
    except ProbeError as error:
        sys.exit(f"link-probe: {error}")
