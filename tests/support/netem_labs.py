"""A lab with real links, for the tests on a kernel with netem."""

from pathlib import Path
from typing import NamedTuple

from flume.lab.containers.engine import Engine
from flume.lab.fleet import Fleet
from flume.lab.link.links import Links
from flume.lab.link.profile import Profile
from flume.lab.link.profile_file import find_profile

CLIENTS = 5
PROFILES = Path(__file__).parents[2] / "netem" / "profiles"


def profile(name: str) -> Profile:
    """One of the project's own profiles."""
    return find_profile(PROFILES, name)


class NetemLab(NamedTuple):
    """A running server, clients and probe with real links, and nobody connected."""

    engine: Engine
    name: str
    fleet: Fleet
    links: Links
