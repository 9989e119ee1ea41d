"""A run on the usual engine does not touch a lab kernel unless its own lab is in it."""

from types import SimpleNamespace
from typing import Any

import pytest

from flume.lab.engines import locate

USUAL: Any = SimpleNamespace(info=SimpleNamespace(endpoint="unix:///var/run/docker.sock"))


class FakeEngine:
    """The engine in the lab kernel, with *labs* in it."""

    def __init__(self, *labs: str) -> None:
        self.labs = labs

    def objects(self, *, lab: str) -> list[str]:
        return [one for one in self.labs if one == lab]

    def __enter__(self) -> "FakeEngine":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("kernel", "removed"), [(None, []), (FakeEngine(), []), (FakeEngine("other"), []), (FakeEngine("mine"), ["mine"])]
)
def test_only_a_kernel_with_the_lab_in_it_is_touched(monkeypatch, kernel, removed):
    seen: list[str] = []
    monkeypatch.setattr(locate, "_kernel_engine", lambda _place: kernel)
    monkeypatch.setattr(locate, "_remove_from_kernel", lambda lab, _say, _place: seen.append(lab))
    locate.remove_elsewhere("mine", USUAL, print)
    assert seen == removed
