"""Command sequences as text: ``connect; wait 3; interrupt; wait 20%; continue``.

``flume watch --script`` and the lab's scenarios share it.
"""

import re
from typing import NamedTuple

from flume.control.session import Command
from flume.errors import SettingsError

MAX_STEPS = 1000
MAX_WAIT_S = 86_400.0
STEERING = tuple(command for command in Command if command is not Command.STATUS)

_WAIT = re.compile(r"wait\s+(\d+(?:\.\d+)?)\s*(%|s)?")


class Step(NamedTuple):
    """Either a *command*, or a wait of *wait_s* seconds."""

    command: Command | None
    wait_s: float = 0.0


def parse_script(text: str, *, duration_s: float | None = None) -> tuple[Step, ...]:
    """Return the steps in *text*; ``wait N%`` is a share of *duration_s*.

    Raises :class:`SettingsError` that names the step for anything else, including a percentage without a
    duration, more than :data:`MAX_STEPS` steps, and an empty script.

    >>> parse_script("connect; wait 25%", duration_s=20)
    (Step(command=<Command.CONNECT: 'connect'>, wait_s=0.0), Step(command=None, wait_s=5.0))
    """
    parts = [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
    if not 0 < len(parts) <= MAX_STEPS:
        raise SettingsError("script", text[:80], f'1 to {MAX_STEPS} steps such as "connect; wait 3; interrupt"')
    return tuple(_parse_step(part, duration_s) for part in parts)


def _parse_step(part: str, duration_s: float | None) -> Step:
    if part in STEERING:
        return Step(Command(part))
    match = _WAIT.fullmatch(part)
    if match is None:
        raise SettingsError("script", part[:80], f'"wait SECONDS", "wait SHARE%" or one of {", ".join(STEERING)}')
    amount, unit = float(match[1]), match[2]
    if unit == "%":
        if duration_s is None:
            raise SettingsError("script", part, "a percentage needs a duration: wait SECONDS instead")
        amount *= duration_s / 100
    if amount > MAX_WAIT_S:
        raise SettingsError("script", part[:80], f"waits of at most {MAX_WAIT_S:g} seconds")
    return Step(None, amount)
