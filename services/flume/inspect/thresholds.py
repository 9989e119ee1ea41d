"""Thresholds that a caller gives, such as ``loss_pct>0.5``: read, and held against the streams. Pure."""

import difflib
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flume.errors import SettingsError
from flume.inspect.measure_names import MEASURES
from flume.inspect.values import Stream, ThresholdResult

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
GRAMMAR = "MEASURE OPERATOR NUMBER, such as 'loss_pct>0.5'; operators are > >= < <= == !="
_FORM = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


class Threshold(NamedTuple):
    """A stream passes it when its measure stands in this relation to the number."""

    text: str
    measure: str
    relation: str
    number: float


def parse_threshold(text: str) -> Threshold:
    """Return the threshold in *text*. Raises :class:`SettingsError`, which lists the measures where it names none.

    >>> parse_threshold("loss_pct > 0.5")
    Threshold(text='loss_pct > 0.5', measure='loss_pct', relation='>', number=0.5)
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise SettingsError("--fail-if", text, GRAMMAR)
    measure, relation, number_text = form.groups()
    try:
        number = float(number_text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError("--fail-if", text, f"{number_text!r} is no number: {GRAMMAR}")
    if measure not in MEASURES:
        near = difflib.get_close_matches(measure, MEASURES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SettingsError("--fail-if", text, f"{hint}Measures are {', '.join(MEASURES)}")
    return Threshold(text, measure, relation, number)


def judge(thresholds: Sequence[Threshold], streams: Sequence[Stream]) -> list[ThresholdResult]:
    """Return what became of each threshold."""
    return [_judge(threshold, streams) for threshold in thresholds]


def _judge(threshold: Threshold, streams: Sequence[Stream]) -> ThresholdResult:
    values = {stream.number: MEASURES[threshold.measure].value(stream) for stream in streams}
    known = {number: value for number, value in values.items() if value is not None}
    holds = OPERATORS[threshold.relation]
    passed_by = {number: value for number, value in known.items() if holds(value, threshold.number)}
    return ThresholdResult(threshold=threshold.text, passed_by=passed_by, judged=len(known))
