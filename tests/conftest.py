"""Settings for all tests."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from support.paths import ROOT

# The hosts that run this are shared and busy: the duration of an example says nothing about the code.
settings.register_profile("flume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flume")

# A shell starts background jobs with SIGINT ignored, and their programs inherit that. No test could interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


GROUPS = {"lab/netem": "kernel", "lab/kernel": "kernel", "lab/runs/test_readme.py": "kernel", "lab": "engine"}
"""The group of a test, by the beginning of its path under ``tests``; the first entry that fits counts.

One worker runs a group from beginning to end. The tests in *kernel* start, share and end the lab kernel, which keeps
one CPU busy; those in *engine* share labs on the local engine and most of the time wait.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its group, and put the longest groups first. Any other file is a group of its own."""
    longest = list(dict.fromkeys(GROUPS.values()))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: longest.index(group) if (group := _group(item)) in longest else len(longest))


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(ROOT / "tests").as_posix()
    return next((group for beginning, group in GROUPS.items() if path.startswith(beginning)), path)
