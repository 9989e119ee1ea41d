"""Labs for the firewall tests: one for all scenarios, and a new one for a test that needs a whole run."""

import secrets
from collections.abc import Iterator

import pytest

from support.labs.firewalls import Firewalled
from support.labs.labs import LabUnderTest
from support.labs.trial import udp_only


@pytest.fixture
def lab(engine, tmp_path) -> Iterator[LabUnderTest]:
    """A lab for one test."""
    lab = LabUnderTest(f"test-{secrets.token_hex(4)}", tmp_path / "artifacts")
    yield lab
    lab.close()
    engine.remove_lab(lab.name)


@pytest.fixture(scope="module")
def watched(engine, tmp_path_factory) -> Iterator[LabUnderTest]:
    """Three clients that watch the test card on a lab left running, over UDP only, over links that netem shapes."""
    folder = tmp_path_factory.mktemp("firewalls")
    lab = LabUnderTest(f"test-{secrets.token_hex(4)}", folder / "artifacts")
    try:
        options = ("--clients", 3, "--profile", "lan", "--scenario", "steady", "--duration", 2)
        finished = lab.run(*options, "--topology", udp_only(folder))
        assert "3 clients watch on" in finished.stderr, finished.stdout + finished.stderr
        yield lab
    finally:
        lab.close()
        engine.remove_lab(lab.name)


@pytest.fixture(scope="module")
def firewalled(engine, watched) -> Iterator[Firewalled]:
    """The hosts of that lab and their firewalls."""
    found = Firewalled(engine, watched.name)
    yield found
    found.close()
