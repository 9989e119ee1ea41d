"""The examples in the docstrings of the control protocol."""

import doctest
from types import ModuleType

import pytest

from flume.control import codec, framing, messages, script, session

MODULES = (codec, framing, messages, script, session)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_a_docstring_shows_is_what_happens(module: ModuleType):
    names = {name: value for known in MODULES for name, value in vars(known).items() if not name.startswith("_")}
    assert doctest.testmod(module, globs=names).failed == 0
