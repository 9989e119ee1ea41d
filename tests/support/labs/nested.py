"""Docker engines ("hosts") in containers of this machine's engine: for tests of a lab over several machines.

Example, with two hosts in one swarm::

    with nested_engines(engine, 2, images=["flumelab/probe"]) as hosts:
        join_swarm(hosts)
        with hosts[1].connect() as second:
            second.info.name  # 'h2'
        hosts[1].kill()

All have this machine's kernel and clock, and no real wire: a bridge is their underlay.
"""

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker.errors
import docker.types
import trustme

from flume.lab.containers import topology
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Engine
from flume.lab.containers.parallel import in_parallel
from flume.lab.machine.endpoint import Endpoint, Tls
from flume.lab.machine.process import has_gone, start_ticks, wait_until
from support.labs import nested_node
from support.labs.nested_host import LABEL, PATIENCE_S, UNDERLAY_MTU, Host, HostOptions

__all__ = ["Host", "HostOptions", "join_swarm", "nested_engines", "remove_stale"]

SWARM_PORT = 2377

_FIRST_HOST = 11
"""The last byte of the address of h1; the engine that loads the images for all has the one before."""


@contextlib.contextmanager
def nested_engines(
    engine: Engine,
    count: int,
    *,
    images: Sequence[str] = (),
    options: Mapping[str, HostOptions] | None = None,
) -> Iterator[list[Host]]:
    """Start *count* hosts, h1 to hN, each with *images* of *engine*; remove all of them afterwards.

    *options*: name → what is special about that host. What killed runs have left is removed first. Raises
    :class:`EngineError`, also where *engine* may not give the capabilities that a host needs.
    """
    remove_stale(engine)
    nested_node.ensure_image(engine)
    makes = _Making(engine)
    try:
        makes.network()
        if images:
            makes.seed(images)
        hosts = [
            makes.host(f"h{number}", _FIRST_HOST + number - 1, (options or {}).get(f"h{number}", HostOptions()))
            for number in range(1, count + 1)
        ]
        in_parallel(lambda host: host.start(), hosts)
        yield hosts
    finally:
        makes.close()


class _Making:
    """What one call of :func:`nested_engines` has made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owner = f"{_machine()}.{os.getpid()}.{start_ticks(os.getpid())}.{secrets.token_hex(3)}"
        self._labels = {LABEL: self._owner}
        self._name = f"flumelab-hosts-{os.getpid()}-{secrets.token_hex(3)}"
        self._subnet = ""

    def network(self) -> None:
        """Make the underlay in a free subnet of the pool, and the volume with the hosts' disks."""
        api = self._engine._api
        with self._engine._errors("create the network of the hosts"):
            taken = self._engine.networks.taken_subnets()
            # As many clients as make it a /24.
            for subnet in topology.candidate_subnets(200, taken=taken, start=secrets.randbelow(1 << 9)):
                pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
                try:
                    api.create_network(
                        self._name,
                        driver="bridge",
                        options={"com.docker.network.driver.mtu": str(UNDERLAY_MTU)},
                        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                        labels=self._labels,
                        check_duplicate=True,
                    )
                except docker.errors.APIError as error:
                    if "overlaps" not in str(error.explanation):
                        raise
                    continue
                self._subnet = str(subnet)
                break
            api.create_volume(self._name, labels=self._labels)

    def seed(self, images: Sequence[str]) -> None:
        """Load *images* into one data folder, of which the hosts' are made with hard links."""
        seed = self.host("seed", _FIRST_HOST - 1, HostOptions(daemon=("--bridge=none", "--iptables=false")))
        seed.start()
        source = ["docker", "--host", self._engine.endpoint.url, "save", *images]
        environment = os.environ  # where the outer engine is behind TLS
        with subprocess.Popen(source, stdout=subprocess.PIPE, env=environment) as saved:
            load = ["docker", "--host", seed.url, "load", "--quiet"]
            plain = {key: value for key, value in environment.items() if not key.startswith("DOCKER_")}
            subprocess.run(load, stdin=saved.stdout, stdout=subprocess.DEVNULL, env=plain, check=True)
        assert saved.returncode == 0, f"docker save {' '.join(images)} failed"
        with self._engine._errors("remove the engine that loaded the images"):
            # In order, so that its lists of images are complete.
            self._engine._api.stop(seed.container.id, timeout=60)
            self._engine._api.remove_container(seed.container.id, force=True)

    def host(self, name: str, last_byte: int, options: HostOptions) -> Host:
        """Create a host that is not started."""
        address = f"{self._subnet.rpartition('.')[0]}.{last_byte}"
        endpoint, listen, more = self._listening(name, address, options.authority)
        identity = nested_node.create(
            self._engine,
            f"{self._name}-{name}",
            [name, "--host", "unix:///var/run/docker.sock", *listen, *options.daemon],
            hostname=name,
            network=self._name,
            address=address,
            volume=self._name,
            labels=self._labels,
            environment=options.environment,
        )
        if files := {**options.files, **more}:
            with self._engine._errors(f"write the files of {name}"):
                self._engine._api.put_archive(identity, "/", nested_node.archive(files))
        container = Container(self._engine._api, self._engine._errors, identity, f"{self._name}-{name}")
        return Host(self._engine, container, name, address, endpoint)

    def _listening(
        self, name: str, address: str, authority: trustme.CA | None
    ) -> tuple[Endpoint, list[str], dict[str, bytes]]:
        """Return how the host is reached, the arguments of its engine for that, and their files."""
        if authority is None:
            return Endpoint(f"tcp://{address}:2375", "DOCKER_HOST"), ["--host", "tcp://0.0.0.0:2375", "--tls=false"], {}
        folder = _folder(self._name) / name
        folder.mkdir(parents=True, mode=0o700)
        own, ours = authority.issue_cert(address, name), authority.issue_cert("flumelab-test")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        ours.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        ours.private_key_pem.write_to_path(folder / "key.pem")
        tls = Tls(folder / "ca.pem", (folder / "cert.pem", folder / "key.pem"), verify=True)
        files = {
            "/etc/docker/tls/ca.pem": authority.cert_pem.bytes(),
            "/etc/docker/tls/cert.pem": own.cert_chain_pems[0].bytes(),
            "/etc/docker/tls/key.pem": own.private_key_pem.bytes(),
        }
        arguments = ["--host", "tcp://0.0.0.0:2376", "--tlsverify"]
        arguments += [f"--tls{kind}=/etc/docker/tls/{kind.removeprefix('ca')}.pem" for kind in ("cert", "key")]
        arguments += ["--tlscacert=/etc/docker/tls/ca.pem"]
        return Endpoint(f"tcp://{address}:2376", "DOCKER_HOST", tls), arguments, files

    def close(self) -> None:
        """Remove it all."""
        _remove(self._engine, self._owner)


def _folder(name: str) -> Path:
    """Return the folder of this machine for the certificates of the hosts on the underlay *name*."""
    return Path(tempfile.gettempdir()) / name


def _machine() -> str:
    """Return what distinguishes the process numbers here from those of another machine, boot or container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return f"{boot}.{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"


def remove_stale(engine: Engine) -> None:
    """Remove the hosts of processes of this machine that have ended without removing them."""
    api = engine._api
    with engine._errors("look for hosts of tests"):
        found = [*api.containers(all=True), *api.networks(), *(api.volumes()["Volumes"] or ())]
    owners = {(one.get("Labels") or {}).get(LABEL, "") for one in found} - {""}
    for owner in owners:
        machine, pid, ticks, _ = owner.rsplit(".", 3)
        if machine == _machine() and has_gone(int(pid), int(ticks)):
            _remove(engine, owner)


def _remove(engine: Engine, owner: str) -> None:
    """Remove the containers, then the networks and volumes of *owner*."""
    api, label = engine._api, {"label": [f"{LABEL}={owner}"]}
    with engine._errors("remove hosts of tests"):
        containers = api.containers(all=True, filters=label)
        in_parallel(functools.partial(api.remove_container, force=True, v=True), [one["Id"] for one in containers])
        for network in api.networks(filters=label):
            api.remove_network(network["Id"])
            shutil.rmtree(_folder(network["Name"]), ignore_errors=True)
        for volume in api.volumes(filters=label)["Volumes"] or ():
            api.remove_volume(volume["Name"])


def join_swarm(hosts: Sequence[Host]) -> None:
    """Make the first host a swarm's manager and the others its workers; those that are in it already stay.

    Returns when all are ready. The lab never does this by itself.
    """
    first, *others = hosts
    with first.connect() as manager:
        api = manager._api
        with manager._errors("make a swarm"):
            if _swarm(manager)["LocalNodeState"] == "inactive":
                api.init_swarm(advertise_addr=first.address, listen_addr=f"{first.address}:{SWARM_PORT}")
            token = api.inspect_swarm()["JoinTokens"]["Worker"]
        wanted = {_swarm(manager)["NodeID"], *in_parallel(lambda host: _join(host, first, token), others)}

        def are_ready() -> bool:
            with manager._errors("list the nodes of the swarm"):
                return wanted <= {one["ID"] for one in api.nodes() if one["Status"]["State"] == "ready"}

        assert wait_until(are_ready, timeout_s=PATIENCE_S), first.log()


def _swarm(engine: Engine) -> dict[str, Any]:
    with engine._errors("ask for its swarm"):
        return engine._api.info()["Swarm"]


def _join(host: Host, manager: Host, token: str) -> str:
    """Join as a worker; return the node's id."""
    with host.connect() as engine:
        if _swarm(engine)["LocalNodeState"] == "inactive":
            with engine._errors("join the swarm"):
                engine._api.join_swarm(
                    remote_addrs=[f"{manager.address}:{SWARM_PORT}"],
                    join_token=token,
                    advertise_addr=host.address,
                    listen_addr=f"{host.address}:{SWARM_PORT}",
                )
        return str(_swarm(engine)["NodeID"])
