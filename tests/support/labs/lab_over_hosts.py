"""A lab over several hosts for tests: its hosts file, its runs, and what is left on each host."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.engines.lock import remove_left_over
from flume.lab.hosts.remembered import forget
from flume.lab.hosts.site import Host as SiteHost
from flume.lab.hosts.site import Site
from flume.lab.machine.process import wait_until
from support.labs.labs import LabUnderTest, new_lab
from support.labs.nested import Host, join_swarm
from support.residue.docker_objects import objects

FORGETS_S = 60.0
"""Until a worker no longer lists a network that the manager has removed: 1 to 5 s."""

OF_DOCKER = {("network", "docker_gwbridge"), ("network", "ingress")}
"""An engine in a Swarm makes them when it needs them first, and keeps them."""


@contextlib.contextmanager
def new_lab_over(engine: Engine, hosts: Sequence[Host], folder: Path) -> Iterator["LabOverHosts"]:
    """A lab over *hosts*, containers of *engine*; its server is on the first.

    Hosts that the body has switched off are switched on, and what is left of the lab on any of them is removed.
    """
    with new_lab(engine, folder / "artifacts") as lab:
        over = LabOverHosts(lab, hosts, folder / "hosts.toml")
        try:
            yield over
        finally:
            lab.close()
            forget(checkout.cache(), lab.name)
            over.bring_back()


class LabOverHosts:
    """A lab whose hosts file is :attr:`path`; the lab itself is :attr:`lab`."""

    def __init__(self, lab: LabUnderTest, hosts: Sequence[Host], path: Path) -> None:
        self.lab = lab
        self.hosts = tuple(hosts)
        self.path = path
        path.write_text(
            "".join(
                f'[[host]]\nname = "{host.name}"\ndocker = "{host.url}"\ntls = false\n'
                f"server = {str(host is hosts[0]).lower()}\n"
                for host in hosts
            )
        )
        self._before = self.present()

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run ``flume lab run`` on the hosts."""
        return self.lab.run("--hosts", self.path, *arguments, timeout_s=240)

    def hold(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a run that goes on until ``communicate()`` closes its standard input; return when all clients watch."""
        run = self.lab.start_held("--hosts", self.path, *arguments)
        reached = wait_until(lambda: self.play(run) or run.poll() is not None, timeout_s=120, interval_s=0.5)
        assert reached and run.poll() is None, run.communicate() if reached else "the clients do not watch"  # noqa: PT018
        return run

    def play(self, run: "subprocess.Popen[str]") -> bool:
        """Whether the clients on each host have an active session."""
        return all(
            logs and all('"state":"active"' in one.replace(" ", "") for one in logs)
            for logs in (self.client_logs(host) for host in self.hosts)
        )

    def client_logs(self, host: Host) -> list[str]:
        """Return the last lines of each client on *host*."""
        with host.connect() as engine:
            return [one.logs(tail=3) for one in engine.find(lab=self.lab.name, role="client")]

    def present(self, without: Sequence[Host] = ()) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Return name of a host → kind and name of each object of its engine, whatever it belongs to."""
        found = {}
        for host in self.hosts:
            if host not in without:
                with host.connect() as engine:
                    found[host.name] = frozenset((one.kind, one.name) for one in objects(engine)) - OF_DOCKER
        return found

    def left(self, without: Sequence[Host] = ()) -> list[str]:
        """Return what the hosts have now and had not before the lab."""
        return [
            f"{kind} {name} on {host}"
            for host, there in self.present(without).items()
            for kind, name in sorted(there - self._before[host])
        ]

    def assert_nothing_left(self) -> None:
        """Assert that nothing is left of it on any host, and in this machine."""
        assert wait_until(lambda: not self.left(), timeout_s=FORGETS_S), self.left()
        self.lab.assert_nothing_left()

    def assert_only_the_network_left(self, without: Sequence[Host]) -> None:
        """Assert that on the other hosts nothing but the network is left, which also those are on."""
        assert all(what.startswith("network flumelab-") for what in self.left(without)), self.left(without)

    def bring_back(self) -> None:
        """Switch on what is off, and remove what is left of the lab on every host."""
        for host in self.hosts:
            if not host.is_running():
                host.start()
        join_swarm(self.hosts)
        with Site([SiteHost(host.name, host.connect()) for host in self.hosts], server=self.hosts[0].name) as site:
            site.remove_lab(self.lab.name)
            for one in site.hosts:
                remove_left_over(one.engine, self.lab.name)
