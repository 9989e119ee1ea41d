"""The clocks of the hosts of one run: what the time is at the server, and how far the others are from it."""

import time
from typing import NamedTuple

from flume.errors import EngineError
from flume.lab.containers.probe import Probe
from flume.lab.evidence.clock import HostClock, Offsets, host_clocks
from flume.lab.hosts.clocks import measure_offsets
from flume.lab.hosts.site import Site
from flume.lab.run.fleet import Fleet

_NONE = Offsets({}, {})


class RunClocks:
    """Measured at the beginning of a run and at its end; nothing is measured where one clock is all there is."""

    def __init__(self, site: Site) -> None:
        """Of a run on *site*."""
        self._site = site
        self._ahead_s = 0.0
        self._before = _NONE
        self._after = _NONE

    def begin(self, fleet: Fleet) -> None:
        """Measure before the scenario. Raises :class:`EngineError` where the server's host does not tell the time."""
        endpoint = self._site.server.engine.endpoint
        if not self._site.is_single or not endpoint.is_local:
            self._ahead_s = ahead_s(fleet.probe)
        self._before = self._offsets(fleet)

    def end(self, fleet: Fleet) -> None:
        """Measure after the scenario."""
        self._after = self._offsets(fleet)

    def now_s(self) -> float:
        """Return the time at the server's host, in epoch seconds: as its captures have it."""
        return time.time() + self._ahead_s

    def of(self, fleet: Fleet) -> dict[str, HostClock]:
        """Return name of a relay or client that is not on the server's host → the clock of its captures."""
        clocks = host_clocks(self._before, self._after)
        return {name: clocks[one.host] for name, one in fleet.tapped.items() if one.host in clocks}

    def _offsets(self, fleet: Fleet) -> Offsets:
        server = self._site.server.name
        places = {host: (probe, _address(self._site, host)) for host, probe in fleet.probes.items()}
        others = {host: place for host, place in places.items() if host != server}
        return measure_offsets(places[server], others) if others else _NONE


class _Reading(NamedTuple):
    round_trip_s: float
    ahead_s: float


def ahead_s(probe: Probe, *, readings: int = 3) -> float:
    """Return by how much the clock of the host of *probe* is ahead of ours: that of the quickest of some readings.

    It is for the times that people read. Half a round trip through the engine, some 30 ms, is its bound.
    """
    taken = []
    for _ in range(readings):
        began_s = time.time()
        text = probe.container.run_checked(["date", "+%s.%N"])
        ended_s = time.time()
        try:
            taken.append(_Reading(ended_s - began_s, float(text) - (began_s + ended_s) / 2))
        except ValueError as error:
            raise EngineError(f"the probe said {text[:40]!r} when it was asked for the time") from error
    return min(taken).ahead_s


def _address(site: Site, host: str) -> str:
    """Return the address at which the other hosts reach *host*."""
    swarm = site.engine(host).info.swarm
    return swarm.address if swarm is not None else ""
