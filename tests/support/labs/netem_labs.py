"""A lab with shaped links."""

from typing import NamedTuple

import msgspec

from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Topology
from flume.lab.hosts.links import SiteLinks
from flume.lab.link.profile import Profile
from flume.lab.link.profile_file import find_profile
from flume.lab.run.fleet import Fleet
from support.labs.containers import load_layout
from support.paths import PROFILES

CLIENTS = 5


def profile(name: str) -> Profile:
    """Return a profile of netem/profiles."""
    return find_profile(PROFILES, name)


def udp_layout() -> Topology:
    """Return compose/lab.yaml with clients that never fall back to TCP, even if UDP is late on a slow computer."""
    layout = load_layout()
    client = layout.service("client")
    staying = msgspec.structs.replace(client, command=(*client.command, "--transport", "udp"))
    return msgspec.structs.replace(layout, services={**layout.services, "client": staying})


class NetemLab(NamedTuple):
    """A running server, clients that are not connected, and a probe, with shaped links."""

    engine: Engine
    name: str
    fleet: Fleet
    links: SiteLinks

    def change_link(self, client: int, command: str) -> None:
        """Run a tc *command* on the link of *client*, towards it, behind the lab's back; ``LINK`` is the interface."""
        self.fleet.probe.container.run_checked(["python3", "-ISc", _CHANGE_LINK, str(client), *command.split()])


_CHANGE_LINK = """
import sys
sys.path.append("/opt/flume")
from probe import emulators, links
client, *command = sys.argv[1:]
emulators.run([emulators.Shaping(links.remembered(int(client)), down=[command])])
"""
