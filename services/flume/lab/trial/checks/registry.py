"""The names under which checks appear in a report, and the function of each. Pure.

A name is part of the report's format: CI systems and people's scripts know it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from flume.lab.trial.case import Case
from flume.lab.trial.checks import account, delivery, frame_sums, relays, run, viewer
from flume.lab.trial.checks.finding import Finding

CLIENT_CHECKS: Mapping[str, Callable[[Case], Finding | None]] = MappingProxyType(
    {
        "promise": delivery.promise,
        "commands": delivery.commands,
        "reception": delivery.reception,
        "silence": delivery.silence,
        "sequence": delivery.sequence,
        "acknowledged": delivery.acknowledged,
        "clock": account.clock,
        "balance": account.balance,
        "loss": account.loss,
        "frames": viewer.frames,
        "join": viewer.join,
        "attribution": frame_sums.attribution,
        "relayed": relays.relayed,
        "demand": relays.demand,
    }
)
"""Each client is examined by all of these, in this order. None: the run does not ask."""

FIGURE_CHECKS: Mapping[str, Callable[..., Finding | None]] = MappingProxyType({"expected": viewer.expected})
"""Each client is examined by these after its figures are known. None: the scenario does not ask."""

RUN_CHECKS: Mapping[str, Callable[..., Finding | None]] = MappingProxyType(
    {
        "capture": run.capture,
        "link": run.link,
        "steps": run.steps,
        "host": run.host,
        "backlog": run.backlog,
        "subjects": run.subjects,
        "strangers": run.strangers,
        "evidence": run.evidence,
        "hops": relays.hops,
    }
)
"""Checks of captures, links and the run itself; each takes what it needs."""
