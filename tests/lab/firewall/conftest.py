"""Labs for the firewall tests: one for all scenarios, and a new one for a test that needs a whole run."""

from collections.abc import Iterator

import pytest

from support.labs.firewalls import Firewalled
from support.labs.labs import LabUnderTest, new_lab
from support.labs.trial import udp_only


@pytest.fixture
def lab(engine, tmp_path) -> Iterator[LabUnderTest]:
    """A lab for one test."""
    with new_lab(engine, tmp_path / "artifacts") as lab:
        yield lab


@pytest.fixture(scope="module")
def watched(engine, tmp_path_factory) -> Iterator[LabUnderTest]:
    """Three clients that watch the test card on a lab left running, over UDP only, over links that netem shapes."""
    folder = tmp_path_factory.mktemp("firewalls")
    with new_lab(engine, folder / "artifacts") as lab:
        options = ("--clients", 3, "--profile", "lan", "--scenario", "steady", "--duration", 2)
        finished = lab.run(*options, "--topology", udp_only(folder))
        assert "3 clients watch on" in finished.stderr, finished.stdout + finished.stderr
        yield lab


@pytest.fixture(scope="module")
def firewalled(engine, watched) -> Iterator[Firewalled]:
    """The hosts of that lab and their firewalls."""
    found = Firewalled(engine, watched.name)
    yield found
    found.close()
