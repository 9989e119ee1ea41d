"""Hosts for fast tests of what is done over several: each engine keeps names of objects in memory, and runs nothing."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from flume.errors import EngineError
from flume.lab.containers.engine import Container, Engine, Network, Start
from flume.lab.hosts.site import Host, Site

SWARM_NETWORK = "flumelab-x-network-run"


class FakeEngine:
    """One engine of a Swarm; *manages* it. ``objects`` are ``(kind, name)``; ``calls`` has what was asked of it."""

    def __init__(self, host: str = "", *, manages: bool = False, swarm: set[str] | None = None) -> None:
        self.host = host
        self.info = SimpleNamespace(manages_swarm=manages, name=host, swarm=swarm)
        self.endpoint: Any = host
        self.objects: list[tuple[str, str]] = []
        self.swarm = set() if swarm is None else swarm
        """The networks of the Swarm, which all of its engines have in common."""
        self.calls: list[str] = []
        self.fails: Callable[[str], None] = lambda _what: None
        """Called with what is asked; may raise."""
        self.closed = False
        self.networks = SimpleNamespace(find=lambda lab: None, taken_subnets=lambda: ())

    def close(self) -> None:
        self.closed = True

    def names(self, lab: str | None) -> list[str]:
        return [f"{kind} {name}" for kind, name in self.objects]

    def find(self, *, lab: str | None = None, run: str | None = None, role: str | None = None) -> list[Container]:
        found = [cast("Any", SimpleNamespace(**one)) for one in self.containers]
        return [one for one in found if role is None or one.role == role]

    containers: Sequence[dict[str, Any]] = ()

    def start(self, lab: str, run: str, layout: Any, starts: Sequence[Start]) -> list[str]:
        self.calls.append(f"start {len(starts)}")
        self.fails("start")
        return [f"{one.service}-{one.index} on {self.host}" for one in starts]

    def remove_lab(self, lab: str | None, *, kinds: Sequence[str] = ("container", "network", "volume")) -> list[str]:
        for kind in kinds:
            self.calls.append(f"remove {kind}")
            self.fails(kind)
        gone = [one for one in self.objects if one[0] in kinds]
        if "network" in kinds and not self.info.manages_swarm and any(name in self.swarm for _, name in gone):
            raise EngineError("This node is not a swarm manager")
        self.objects = [one for one in self.objects if one not in gone]
        self.swarm -= {name for _, name in gone}
        return [f"{kind} {name}" for kind, name in gone]


def fake_site(*engines: FakeEngine, dealt: dict[int, str] | None = None, missing: dict[str, str] | None = None) -> Site:
    """Return the site of *engines*, of which the first has the server."""
    hosts = [Host(one.host, cast("Engine", one)) for one in engines]
    return Site(hosts, server=engines[0].host, dealt=dealt, missing=missing)


def overlay_network(subnet: str) -> Network:
    """Return a network of the Swarm in *subnet*."""
    return Network("n", subnet, subnet, "")
