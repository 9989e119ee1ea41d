"""Watches whether the engines of a lab's hosts still answer, while a run goes on.

A host that lost its power or its network closes no connection, so what is attached to its containers only falls silent.
Each engine is therefore asked again and again. One that does not answer twice in a row counts as lost, for good: what
happened on it meanwhile is not known.
"""

import threading
import time
from collections.abc import Mapping
from types import TracebackType

from flume.errors import EngineError, LabError
from flume.lab.containers.engine import Engine
from flume.lab.containers.parallel import in_parallel
from flume.lab.hosts.site import Host, Site
from flume.lab.progress import Say

INTERVAL_S = 2.0
ANSWER_S = 3.0
"""An engine of a busy host answers within half a second."""

BOUND_S = 2 * (INTERVAL_S + ANSWER_S)
"""After so long at most a host that is lost is known to be."""


class HostLostError(LabError):
    """A host without which a run cannot go on was lost."""


class HostWatch:
    """The hosts of one lab that were lost; of a lab on one host none is, its errors speak for themselves.

    Example::

        with HostWatch(site, say=print) as watch:
            ...
            watch.lost  # {'h2': 'the Docker engine at h2 (tcp://…) does not answer …'}
    """

    def __init__(self, site: Site, *, say: Say) -> None:
        self._hosts = () if site.is_single else site.hosts
        self._say = say
        self._lost: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hosts", daemon=True)

    @property
    def lost(self) -> Mapping[str, str]:
        """Name of each host that was lost → the reason in one line."""
        return dict(self._lost)

    def __enter__(self) -> "HostWatch":
        """Begin to watch."""
        if self._hosts:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; a question that is under way goes on for at most :data:`ANSWER_S`, and changes nothing any more."""
        self._end.set()

    def look(self) -> bool:
        """Ask every host now, twice where need be; return whether one was lost that was not before."""
        before = len(self._lost)
        self._ask_all()
        if self._failed:
            self._ask_all()
        return len(self._lost) > before

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL_S):
            self._ask_all()

    def _ask_all(self) -> None:
        with self._lock:
            asked = [host for host in self._hosts if host.name not in self._lost]
            for host, problem in zip(asked, in_parallel(_problem, asked), strict=True):
                if not problem:
                    self._failed.pop(host.name, None)
                elif host.name not in self._failed:
                    self._failed[host.name] = problem
                elif not self._end.is_set():
                    self._lost[host.name] = problem
                    self._say(f"Host {host.name} is lost: {problem}.")


def _problem(host: Host) -> str:
    """Return why the engine of *host* does not answer; empty where it does."""
    began_s = time.monotonic()
    try:
        Engine.connect(host.engine.endpoint, timeout_s=ANSWER_S, host=host.name).close()
    except EngineError as error:
        return str(error)
    return "" if time.monotonic() - began_s < 2 * ANSWER_S else f"it took {time.monotonic() - began_s:.0f} s to answer"
