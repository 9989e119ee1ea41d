"""The examples in the docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["datagrams", "keyframes", "mpegts", "psi", "rtp", "timeline"])
def test_examples_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"flume.media.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
