"""The offsets of several hosts, by the program itself on this machine; what fails gives a reason and no error."""

from collections.abc import Sequence
from typing import cast

import pytest

from flume.errors import EngineError
from flume.lab.containers.probe import Probe
from flume.lab.hosts.clocks import measure_offsets, offset
from support import clock_probe

HERE = "127.0.0.1"


class HostOnPaper:
    """A probe whose commands run on this machine, or print what they are told to."""

    def __init__(self, *, prints: str | None = None, fails: str | None = None) -> None:
        self.container, self._prints, self._fails = self, prints, fails

    def run_checked(self, arguments: Sequence[str]) -> str:
        if self._fails is not None:
            raise EngineError(self._fails)
        if self._prints is not None:
            return self._prints
        done = clock_probe.run(*arguments[1:])
        if done.returncode:
            raise EngineError(done.stderr)
        return done.stdout


def probe(*, prints: str | None = None, fails: str | None = None) -> Probe:
    return cast("Probe", HostOnPaper(prints=prints, fails=fails))


def test_hosts_with_one_clock_are_not_apart() -> None:
    found = measure_offsets((probe(), HERE), {name: (probe(), HERE) for name in ("attic", "cellar", "shed")})
    assert not found.reasons
    assert set(found.measured) == {"attic", "cellar", "shed"}
    for one in found.measured.values():
        assert abs(one.ahead_s) <= one.bound_s
        assert one.bound_s > 0


def test_without_other_hosts_nothing_is_done() -> None:
    assert measure_offsets((probe(fails="must not be called"), HERE), {}) == ({}, {})


def test_a_host_that_cannot_be_measured_has_a_reason_and_the_others_their_offset() -> None:
    found = measure_offsets(
        (probe(), HERE),
        {
            "attic": (probe(), HERE),
            "cellar": (
                probe(prints='{"offset_ns":null,"round_trip_ns":null,"asked_ns":null,"answers":0}'),
                "198.18.9.9",
            ),
            "shed": (probe(fails="the engine does not answer"), HERE),
            "barn": (probe(prints="what?"), HERE),
        },
    )
    assert set(found.measured) == {"attic"}
    assert found.reasons["cellar"].startswith(
        f"no answer by UDP from the server's host {HERE} to 198.18.9.9: a firewall"
    )
    assert found.reasons["shed"] == "the engine does not answer"
    assert found.reasons["barn"].startswith("clock-probe printed 'what?': build the images anew")
    assert not any("\n" in reason for reason in found.reasons.values())


@pytest.mark.parametrize("reference", [probe(fails="it has no such program"), probe(prints="")])
def test_a_reference_that_does_not_answer_is_the_reason_of_all(reference: Probe) -> None:
    found = measure_offsets((reference, HERE), {"attic": (probe(), HERE), "cellar": (probe(), HERE)})
    assert not found.measured
    assert set(found.reasons) == {"attic", "cellar"}
    assert found.reasons["attic"].startswith("the server's host cannot be asked for its time: ")


def test_a_host_that_finds_the_reference_behind_is_ahead() -> None:
    found = offset(-2_000_000_000, 40_000, 1_700_000_002_000_000_000)
    assert (found.ahead_s, found.bound_s, found.measured_s) == (2.0, 2e-5, 1_700_000_000.0)
