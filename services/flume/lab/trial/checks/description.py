"""Reads a check's docstring as data: what it proves, when it fails, when it errs, and what to do next. Pure."""

import inspect
import re
from collections.abc import Callable
from typing import NamedTuple

_FORM = re.compile(
    r"(?P<proves>.+?)(?:\n\nFAIL: (?P<fails>.+?))?(?:\n\nERROR: (?P<errs>.+?))?"
    r"(?:\n\nUNSUPPORTED: (?P<lacks>.+?))?\n\nNext: (?P<next>.+)",
    re.DOTALL,
)


class Description(NamedTuple):
    """One check, for the reader of a report."""

    name: str
    proves: str
    fails: str | None
    """When the verdict is FAIL; None: never."""
    errs: str | None
    """When the verdict is ERROR; None: never."""
    lacks: str | None
    """When the verdict is UNSUPPORTED; None: never."""
    next_step: str


def described(name: str, function: Callable[..., object]) -> Description:
    """Return the docstring of *function* as the description of the check *name*; raises :class:`ValueError`."""
    found = _FORM.fullmatch(inspect.getdoc(function) or "")
    if found is None:
        raise ValueError(f"check {name}: its docstring needs a first sentence and a paragraph 'Next: ...'")
    proves, fails, errs, lacks, next_step = (
        None if text is None else " ".join(text.split()) for text in found.groups()
    )
    if fails is None and errs is None and lacks is None:
        raise ValueError(f"check {name}: its docstring says neither when it is FAIL nor when it is ERROR")
    return Description(name, proves or "", fails, errs, lacks, next_step or "")
