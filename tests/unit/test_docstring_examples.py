"""The examples in docstrings are run."""

import doctest
import importlib

import pytest

from support.paths import SERVICES

WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(SERVICES).with_suffix("").parts).removesuffix(".__init__")
    for path in SERVICES.rglob("*.py")
    if ">>> " in path.read_text()
)


def test_there_are_examples():
    assert {"flume.lab.run.spec", "flume.media.rtp", "probe.timing"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name: str):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
