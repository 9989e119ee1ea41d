"""The examples in the docstrings of the protocol and of the server are run."""

import doctest
import importlib

import pytest

from support.paths import ROOT

SERVICES = ROOT / "services"
NAMES = [
    ".".join(path.relative_to(SERVICES).with_suffix("").parts)
    for folder in ("control", "server/sending", "server/sessions", "server/fronts")
    for path in sorted((SERVICES / "flume" / folder).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_docstring_shows_is_what_happens(name: str):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
