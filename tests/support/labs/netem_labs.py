"""A lab with real links, for the tests on a kernel with netem."""

from typing import NamedTuple

import msgspec

from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Topology
from flume.lab.link.links import Links
from flume.lab.link.profile import Profile
from flume.lab.link.profile_file import find_profile
from flume.lab.run.fleet import Fleet
from support.labs.containers import load_layout
from support.paths import PROFILES

CLIENTS = 5


def profile(name: str) -> Profile:
    """One of the project's own profiles."""
    return find_profile(PROFILES, name)


def udp_layout() -> Topology:
    """compose/lab.yaml with clients that stay with UDP, however long a slow machine lets them wait for it."""
    layout = load_layout()
    client = layout.service("client")
    staying = msgspec.structs.replace(client, command=(*client.command, "--transport", "udp"))
    return msgspec.structs.replace(layout, services={**layout.services, "client": staying})


class NetemLab(NamedTuple):
    """A running server, clients and probe with real links, and nobody connected."""

    engine: Engine
    name: str
    fleet: Fleet
    links: Links
