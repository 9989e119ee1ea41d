"""The engines of a hosts file, reached side by side: a :class:`~flume.lab.hosts.site.Site` of those that answered."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from flume.lab.containers.parallel import in_parallel
from flume.lab.hosts.hosts_file import HostEntry, HostsFile, deal_clients, ssh_address
from flume.lab.hosts.site import Host, Site
from flume.lab.hosts.tunnel import Tunnel
from flume.lab.machine.endpoint import Endpoint, find_endpoint
from flume.lab.progress import Say

_TIMEOUT_S = 10.0


class _Outcome(NamedTuple):
    host: Host | None
    problem: str
    """In words; empty where *host* has answered."""


def connect(
    hosts_file: HostsFile,
    *,
    clients: int | None = None,
    say: Say,
    tolerant: bool = False,
    timeout_s: float = _TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
) -> Site:
    """Return the site of *hosts_file*, with *clients* dealt to its hosts; the caller closes it, which ends the tunnels.

    Raises :class:`EngineError` of one line that names each host that did not answer. *tolerant*, for looking and for
    clearing away: hosts that do not answer are left out, said, and in :attr:`Site.missing`; where the server's host is
    one of them, another takes its place as ``site.server``. It raises only if none answers. *environment* (None: that
    of this process) has DOCKER_CERT_PATH.

    Example::

        with connect(load_hosts(path.read_text(), name=str(path)), clients=5, say=print) as site:
            site.names("default")
    """
    dealt = {} if clients is None else deal_clients(hosts_file, clients)
    tunnels: list[Tunnel] = []
    reach = partial(
        _reach, hosts_file, tunnels=tunnels, timeout_s=timeout_s, environment=environment or dict(os.environ)
    )
    hosts: list[Host] = []
    try:
        outcomes = dict(zip((one.name for one in hosts_file.hosts), in_parallel(reach, hosts_file.hosts), strict=True))
        hosts += [one.host for one in outcomes.values() if one.host is not None]
        missing = {name: one.problem for name, one in outcomes.items() if one.problem}
        if missing and (not tolerant or not hosts):
            problems = "; ".join(f"host {name}: {problem}" for name, problem in missing.items())
            raise EngineError(f"{problems} (nothing was started; see {hosts_file.file})")
        for name, problem in missing.items():
            say(f"Without host {name}: {problem}.")
        if not tolerant:
            _refuse_the_same(hosts_file, hosts)
        server = hosts_file.server.name
        return Site(
            hosts,
            server=hosts[0].name if server in missing else server,
            dealt={number: name for number, name in dealt.items() if name not in missing},
            missing=missing,
            tunnels=tunnels,
        )
    except BaseException:
        for host in hosts:
            host.engine.close()
        for tunnel in tunnels:
            tunnel.close()
        raise


def _reach(
    hosts_file: HostsFile,
    entry: HostEntry,
    *,
    tunnels: list[Tunnel],
    timeout_s: float,
    environment: Mapping[str, str],
) -> _Outcome:
    tunnel = None
    try:
        if entry.docker.startswith("ssh:"):
            tunnel = Tunnel(ssh_address(entry.docker))
            tunnels.append(tunnel)
            endpoint = Endpoint(f"unix://{tunnel.socket}", entry.docker, is_tunnel=True)
        else:
            endpoint = endpoint_of(hosts_file, entry, environment)
        return _Outcome(Host(entry.name, Engine.connect(endpoint, timeout_s=timeout_s, host=entry.name)), "")
    except EngineError as error:
        if tunnel is None:
            address = "" if entry.docker.removeprefix("unix://") in str(error) else f"{entry.docker}: "
            return _Outcome(None, f"{address}{error}")
        # What the engine's client saw is a connection that ended; ssh knows why.
        return _Outcome(None, f"{entry.docker}: {tunnel.reason() or error}")


def endpoint_of(hosts_file: HostsFile, entry: HostEntry, environment: Mapping[str, str]) -> Endpoint:
    """Return where the engine of *entry* is, if not by ssh. Raises :class:`EngineError` where TLS lacks its files."""
    scheme, _, rest = entry.docker.partition("://")
    if scheme == "unix":
        return Endpoint(f"unix://{hosts_file.path(rest).absolute()}", f"host {entry.name}")
    if entry.tls is False:
        return Endpoint(entry.docker, f"host {entry.name}")
    folder = hosts_file.path(entry.tls) if isinstance(entry.tls, str) else None
    if folder is None and (named := environment.get("DOCKER_CERT_PATH")):
        folder = Path(named)
    if folder is None:
        raise EngineError(
            f'the files of TLS are not known: give the host tls = "folder" with ca.pem, cert.pem and key.pem, set '
            f"DOCKER_CERT_PATH, or use ssh://{rest.partition(':')[0]}"
        )
    found = find_endpoint(
        {"DOCKER_HOST": entry.docker, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(_complete(folder))}
    )
    return Endpoint(found.url, f"host {entry.name}", found.tls)


def _complete(folder: Path) -> Path:
    """Return *folder*; raise :class:`EngineError` if a file of TLS is not there."""
    names = ("ca.pem", "cert.pem", "key.pem")
    if lacking := [name for name in names if not os.access(folder / name, os.R_OK)]:
        raise EngineError(f"{folder} has no readable {' and '.join(lacking)}, which TLS needs: see `tls` of the host")
    return folder


def _refuse_the_same(hosts_file: HostsFile, hosts: list[Host]) -> None:
    """Raise :class:`EngineError` where two hosts are one engine: its containers would be counted twice."""
    seen: dict[str, str] = {}
    for host in hosts:
        info = host.engine.info
        # Copies of one virtual machine have the identity of the first; a Swarm gives each its own.
        known = f"{info.id} {info.swarm.node if info.swarm is not None else info.name}"
        if info.id and known in seen:
            raise EngineError(
                f"hosts {seen[known]} and {host.name} are the same engine (on {info.name}): remove one of them from "
                f"{hosts_file.file}; of copies of one machine give each its own name, remove "
                "/var/lib/docker/engine-id there, and restart Docker"
            )
        seen[known] = host.name
