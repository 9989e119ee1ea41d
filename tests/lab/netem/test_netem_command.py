"""`make netem` as a person uses it, on a lab that runs and was started without a profile."""

from collections.abc import Iterator

import pytest

from flume.lab.commands import status
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import LabUnderTest, new_lab

pytestmark = [pytest.mark.docker, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def lab(engine, tmp_path_factory) -> Iterator[LabUnderTest]:
    """Two clients that watch the test card on a lab left running."""
    with new_lab(engine, tmp_path_factory.mktemp("netem") / "artifacts") as lab:
        finished = lab.run("--clients", 2, "--scenario", "steady", "--duration", 1)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        yield lab


def test_the_link_of_one_client_is_shaped_under_its_stream_and_the_other_loses_nothing(lab, engine):
    def first_and_second() -> tuple[status.Row, status.Row]:
        first, second = status.rows(Site.of(engine), lab.name, status.link_names(Site.of(engine), lab.name))
        assert first.state == second.state == "active"
        return first, second

    assert wait_until(lambda: {row.state for row in status.rows(Site.of(engine), lab.name)} == {"active"}, timeout_s=10)
    _, before = first_and_second()
    done = lab.make("netem", "PROFILE=lossy-10", "CLIENT=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "client 1: lossy-10" in done.stdout
    lost = first_and_second()[0].lost or 0
    assert wait_until(lambda: (first_and_second()[0].lost or 0) > lost + 50, timeout_s=20), "380 a second lose 38"
    first, second = first_and_second()
    assert first.link == "lossy-10"
    assert second.lost == before.lost
    assert (second.frames or 0) > (before.frames or 0) + 25
    assert lab.make("netem", "PROFILE=clean").returncode == 0
    assert {row.link for row in first_and_second()} == {"clean"}


def test_without_a_profile_the_profiles_are_listed_and_a_wrong_one_changes_nothing(lab, engine):
    listed = lab.make("netem")
    assert listed.returncode == 0
    assert "  lossy-10 " in listed.stdout
    before = status.link_names(Site.of(engine), lab.name)
    refused = lab.make("netem", "PROFILE=nonsense")
    assert refused.returncode == 2
    assert "PROFILE='nonsense' is not possible: one of" in refused.stderr
    assert status.link_names(Site.of(engine), lab.name) == before
