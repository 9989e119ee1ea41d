"""Measures how far the clocks of the lab's hosts are apart, by exchanges between their probes.

The probes are in the networks of the hosts themselves, so the exchanges pass no link of the lab and meet no client. The
program is ``clock-probe`` (services/probe/clock_probe.py). Example, before a run and once more after it; names are
those of hosts::

    before = measure_offsets((probe, "198.18.200.11"), {"attic": (other, "198.18.200.12")})
    after = measure_offsets((probe, "198.18.200.11"), {"attic": (other, "198.18.200.12")})
    clock = host_clocks(before, after)["attic"]
    evidence = evidence._replace(clocks={"client-2": clock, "client-4": clock})
"""

import secrets
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from flume.errors import EngineError
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.probe import Probe
from flume.lab.evidence.clock import Offset, Offsets

COUNT = 200
"""Exchanges with each host, within half a second. Of 200 on an idle network the best had a round trip of 20 µs; a
single one was off by up to 1.3 ms."""
ANSWER_S = 30
"""How long the reference answers: the others begin a command in a container first, and each needs 1.5 s at most."""

_Value = TypeVar("_Value", bound=msgspec.Struct)

Place = tuple[Probe, str]
"""The probe of a host, and the address at which the other hosts reach that host."""


class _Listening(msgspec.Struct, frozen=True):
    """What ``clock-probe answer`` prints."""

    port: int


class _Asked(msgspec.Struct, frozen=True):
    """What ``clock-probe ask`` prints. None: there was no answer."""

    offset_ns: int | None
    round_trip_ns: int | None
    asked_ns: int | None
    answers: int


def measure_offsets(reference: Place, others: Mapping[str, Place]) -> Offsets:
    """Return how far the clock of each of the *others* is ahead of the *reference*'s; all are measured side by side.

    *reference* is the host of the server. A host that cannot be measured has a reason instead, in one line; no error is
    raised. It takes one to three seconds. A measurement that ends in nothing lets the run go on: the judge then
    compares no time of that host with one of the server's.
    """
    if not others:
        return Offsets({}, {})
    probe, address = reference
    cookie = secrets.token_hex(16)
    try:
        port = _decoded(probe.container.run_checked(["clock-probe", "answer", str(ANSWER_S), cookie]), _Listening).port
    except EngineError as error:
        return Offsets({}, dict.fromkeys(others, f"the server's host cannot be asked for its time: {error}"))
    measured: dict[str, Offset] = {}
    reasons: dict[str, str] = {}

    def measure(name: str) -> None:
        asking = ["clock-probe", "ask", address, str(port), str(COUNT), cookie]
        try:
            asked = _decoded(others[name][0].container.run_checked(asking), _Asked)
        except EngineError as error:
            reasons[name] = str(error)
            return
        if asked.offset_ns is None or asked.round_trip_ns is None or asked.asked_ns is None:
            reasons[name] = _silence(others[name][1], address)
            return
        measured[name] = offset(asked.offset_ns, asked.round_trip_ns, asked.asked_ns)

    in_parallel(measure, list(others))
    return Offsets(measured, reasons)


def offset(reference_ahead_ns: int, round_trip_ns: int, asked_ns: int) -> Offset:
    """Return the offset of a host that found the reference's clock *reference_ahead_ns* ahead of its own.

    >>> offset(-2_000_000_000, 20_000, 1_700_000_002_000_000_000)
    Offset(ahead_s=2.0, bound_s=1e-05, measured_s=1700000000.0)
    """
    return Offset(
        ahead_s=-reference_ahead_ns / 1e9,
        bound_s=round_trip_ns / 2e9,
        measured_s=(asked_ns + reference_ahead_ns) / 1e9,
    )


def _silence(address: str, reference: str) -> str:
    return (
        f"no answer by UDP from the server's host {reference} to {address}: a firewall between the two may drop it; "
        "let UDP pass between the hosts, on ports from 32768 on"
    )


def _decoded(line: str, kind: type[_Value]) -> _Value:
    """Return what a program of the probe printed; raises :class:`EngineError` where it printed something else."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise EngineError(f"clock-probe printed {line[:80]!r}: build the images anew ({error})") from error
