"""Hashes that cost less than those of a real server."""

import pytest


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flume.server.access.hashing.LOG_N", 10)
    monkeypatch.setattr("flume.server.access.hashing.P", 1)
