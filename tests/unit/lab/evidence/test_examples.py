"""The examples in the docstrings of evidence, trial and report are run."""

import doctest
import importlib
import pkgutil

import pytest

from flume.lab import evidence, report, trial

MODULES = sorted(
    info.name
    for package in (evidence, trial, report)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
