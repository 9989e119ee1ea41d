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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares something, and begin with what takes longest.

    All tests of the lab are one group: they share an engine, its images and the lab kernel, and most of the time they
    wait. The other worker runs the rest meanwhile, file by file.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _group(item) != "lab")


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(ROOT / "tests").as_posix()
    return "lab" if path.startswith("lab/") else path
