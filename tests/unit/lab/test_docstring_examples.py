"""The examples in the docstrings of the lab are run."""

import doctest
import importlib

import pytest

from support.paths import SERVICES

WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(SERVICES).with_suffix("").parts)
    for path in (SERVICES / "flume" / "lab").rglob("*.py")
    if ">>> " in path.read_text()
)


def test_there_are_examples():
    assert "flume.lab.run.spec" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name: str):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
