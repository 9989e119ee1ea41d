"""One lab with shaped links, shared by all tests here: five clients that display 720p at 4 Mbit/s."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.engines import prepare
from flume.lab.hosts.site import Site
from flume.lab.run.network import fleet_links, shape
from flume.lab.run.starting import start_fleet
from flume.lab.testcard import ensure_test_card
from support.labs.labs import LabUnderTest, new_lab
from support.labs.netem_labs import CLIENTS, NetemLab, profile, udp_layout


def _quiet(_line: str) -> None:
    return


@pytest.fixture(scope="package")
def netem_lab(engine: Engine) -> Iterator[NetemLab]:
    """A server and five clients that are not connected yet, on perfect links that netem can change."""
    name = f"test-{secrets.token_hex(4)}"
    site = Site.of(engine)
    wires_on = prepare.hosts_with_wires(site, _quiet)
    video = ensure_test_card(checkout.cache(), say=_quiet, interactive=False)
    try:
        fleet = start_fleet(
            site, udp_layout(), lab=name, run="run-1", clients=CLIENTS, players=CLIENTS, video=video, wires_on=wires_on
        )
        try:
            shape(fleet, profile("clean"))
            fleet.wait_until_ready()
            yield NetemLab(engine, name, fleet, fleet_links(fleet))
        finally:
            fleet.close()
    finally:
        engine.remove_lab(name)


@pytest.fixture
def lab(engine: Engine, tmp_path: Path) -> Iterator[LabUnderTest]:
    """A lab for one test that needs a whole run."""
    with new_lab(engine, tmp_path / "artifacts") as lab:
        yield lab
