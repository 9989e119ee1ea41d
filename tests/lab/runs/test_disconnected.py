"""A client's network is taken away in the middle of a run (`docker network disconnect`), and given back."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from flume.lab.commands import status
from flume.lab.containers.engine import Engine
from flume.lab.engines.netem import find_netem
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import LabUnderTest, one_line

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

BACK_WITHIN_S = 15.0
LATE_S = 30.0
"""What a busy machine may add."""


class Disconnected(NamedTuple):
    """A run whose client 1 has had no network for a moment."""

    process: "subprocess.Popen[str]"
    back_s: float
    """How long after its network was given back it received again."""


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)


@contextlib.contextmanager
def without_network(engine: Engine, lab: str, number: int) -> Iterator[None]:
    """Disconnect client *number* of *lab* for the body, then connect it again with the address that it had."""
    (client,) = [one for one in engine.find(lab=lab, role="client") if one.index == number]
    (network,) = [one for one in engine.objects(lab=lab) if one.kind == "network"]
    docker("network", "disconnect", network.name, client.name)
    yield
    docker("network", "connect", "--ip", client.address, network.name, client.name)


def run_disconnected(lab: LabUnderTest, engine: Engine, *arguments: object) -> Disconnected:
    """Start a run; return when client 1, that was disconnected, and client 2 receive."""
    process = lab.start_held(*arguments)

    def row(number: int) -> status.Row:
        return next(one for one in status.rows(Site.of(engine), lab.name) if one.number == number)

    def receives(number: int) -> Callable[[], bool]:
        before = row(number).datagrams or 0
        return lambda: row(number).state == "active" and (row(number).datagrams or 0) > before

    assert wait_until(
        lambda: len(status.rows(Site.of(engine), lab.name)) == 2 or process.poll() is not None, timeout_s=60
    )
    for number in (1, 2):
        assert wait_until(receives(number), timeout_s=60), process.poll()
    with without_network(engine, lab.name, 1):
        assert wait_until(lambda: row(1).state != "active", timeout_s=BACK_WITHIN_S + LATE_S), "it notices"
    began_s = time.monotonic()
    assert wait_until(receives(1), timeout_s=BACK_WITHIN_S + LATE_S), "the client streams again by itself"
    back_s = time.monotonic() - began_s
    assert wait_until(receives(2), timeout_s=60)
    assert (row(2).lost, process.poll()) == (0, None)
    return Disconnected(process, back_s)


def test_a_client_that_was_disconnected_streams_again_and_the_others_lose_nothing(lab, engine, record_property):
    """Its capture ended with its interface, so nothing is known about it; all is known about the other one."""
    process, back_s = run_disconnected(lab, engine)
    stdout, stderr = process.communicate(timeout=90)
    report = lab.report()
    assert (process.returncode, report["verdict"]) == (3, "ERROR"), stdout + stderr
    trouble = {(one["subject"], one["name"]): one["detail"] for one in report["checks"] if one["verdict"] != "PASS"}
    assert "The interface disappeared" in trouble["client-1", "capture"]
    assert {subject for subject, _ in trouble} == {"client-1"}
    balance = report["clients"][1]["balance"]
    assert balance["sent"] == balance["received"] > 0
    assert lab.make("down").returncode == 0
    lab.assert_nothing_left()
    record_property(
        "measured", f"streams again {back_s:.1f} s after it; beside it 0 of {balance['sent']:,} datagrams lost"
    )


def test_its_link_has_ended_with_its_interface_and_no_run_is_judged_without_it(lab, engine):
    """What comes to its new interface passes beside the wire, without the conditions of the link."""
    if find_netem(engine).place != "wire":
        pytest.skip("the engine's kernel has netem, so links need no wire")
    process, _ = run_disconnected(lab, engine, "--profile", "lan")
    assert status.link_names(Site.of(engine), lab.name) == {1: "ended", 2: "ended"}
    stdout, stderr = process.communicate(timeout=90)
    assert (process.returncode, stdout) == (3, "")
    assert one_line(stderr).startswith("flume: the links of clients 1 have ended with their wire or their eth0")
    lab.assert_nothing_left()
