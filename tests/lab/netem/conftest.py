"""One lab on a kernel with netem, shared by all tests here because containers start slowly there."""

import secrets
from collections.abc import Iterator

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.engines import prepare
from flume.lab.run.fleet import start_fleet
from flume.lab.run.network import fleet_links
from flume.lab.testcard import generate
from support.labs.netem_labs import CLIENTS, NetemLab, profile, udp_layout


@pytest.fixture(scope="session")
def netem_engine() -> Iterator[Engine]:
    """An engine whose kernel has netem, with the images of this tree."""
    with prepare.prepare(lambda _line: None, netem=True) as found:
        yield found


@pytest.fixture(scope="session")
def netem_lab(netem_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetemLab]:
    """A server with a stream of 2 Mbit/s and five clients without a player, on perfect links."""
    name = f"test-{secrets.token_hex(4)}"
    card = generate(
        tmp_path_factory.mktemp("video") / "card.mp4", duration_s=10, width=640, height=360, bitrate_kbit=2000
    )
    try:
        fleet = start_fleet(netem_engine, udp_layout(), lab=name, run="run-1", clients=CLIENTS, players=0, video=card)
        try:
            fleet.wait_until_ready()
            links = fleet_links(fleet)
            links.set(profile("clean"))
            yield NetemLab(netem_engine, name, fleet, links)
        finally:
            fleet.close()
    finally:
        netem_engine.remove_lab(name)
