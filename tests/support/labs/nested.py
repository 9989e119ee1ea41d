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
import dataclasses
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

from flume.errors import EngineError
from flume.lab.containers import topology
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Engine
from flume.lab.containers.parallel import in_parallel
from flume.lab.machine.endpoint import Endpoint, Tls
from flume.lab.machine.process import has_gone, start_ticks, wait_until
from support.labs import nested_node

LABEL = "flumelab.test-hosts"
"""Of all that is made here; its value is the process that made it."""

UNDERLAY_MTU = 1500
SWARM_PORT = 2377

_FIRST_HOST = 11
"""The last byte of the address of h1; the engine that loads the images for all has the one before."""

_PATIENCE_S = 120.0
"""For an engine that starts, and for a swarm that takes in a node: 1 to 3 s on an idle machine."""


@dataclasses.dataclass(frozen=True)
class HostOptions:
    """What is special about one host."""

    daemon: Sequence[str] = ()
    """Arguments of dockerd."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of dockerd and all that :meth:`Host.run` starts, such as ``{"TZ": "Asia/Tokyo"}``."""
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    """Absolute path → content, before the first start; mode 0600."""
    authority: trustme.CA | None = None
    """With it the engine speaks TLS alone, on port 2376, and asks for a certificate of this authority."""


class Host:
    """One machine with an engine. ``endpoint`` and ``url`` say how it is reached from here."""

    def __init__(self, outer: Engine, container: Container, name: str, address: str, endpoint: Endpoint) -> None:
        """Use :func:`nested_engines` instead."""
        self.name = name
        self.address = address
        """On the underlay."""
        self.endpoint = endpoint
        self.container = container
        """The host itself, as a container of the outer engine."""
        self._outer = outer
        self._mtu = UNDERLAY_MTU

    @property
    def url(self) -> str:
        """What DOCKER_HOST says for it."""
        return self.endpoint.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which ``docker`` and ``flume lab`` use it."""
        tls = self.endpoint.tls
        if tls is None or tls.ca is None:
            return {"DOCKER_HOST": self.url}
        return {"DOCKER_HOST": self.url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tls.ca.parent)}

    def connect(self, *, timeout_s: float = 30.0) -> Engine:
        """Return its engine; close it. Raises :class:`EngineError`."""
        return Engine.connect(self.endpoint, timeout_s=timeout_s)

    def run(self, *command: str) -> str:
        """Return the output of *command* on the host, not in a container of it. Works while it is cut off."""
        return self.container.run_checked(list(command))

    def log(self) -> str:
        """Return the end of its engine's log."""
        with self._outer._errors(f"read the log of {self.name}"):
            return self._outer._api.logs(self.container.id, tail=30).decode(errors="replace")

    def start(self) -> None:
        """Start it, also after :meth:`kill`: with its disk and address. Return when its engine answers."""
        nested_node.start(self._outer, self.container.id, self.container.name)
        assert wait_until(lambda: self._answers() or not self.is_running(), timeout_s=_PATIENCE_S), self.log()
        assert self.is_running(), f"the engine of {self.name} has ended: {self.log()}"
        if self._mtu != UNDERLAY_MTU:
            self.set_mtu(self._mtu)

    def _answers(self) -> bool:
        try:
            self.connect(timeout_s=5).close()
        except EngineError:
            return False
        return True

    def is_running(self) -> bool:
        """Return whether it is switched on."""
        self.container.refresh()
        return self.container.status == "running"

    def kill(self) -> None:
        """Switch it off at once, with all its containers, as a power cut does. What was written to its disk stays."""
        with self._outer._errors(f"kill {self.name}"):
            self._outer._api.kill(self.container.id)
        assert wait_until(lambda: not self.is_running(), timeout_s=_PATIENCE_S)

    def cut(self) -> None:
        """Pull its cable out of the underlay: its engine cannot be reached, and reaches no other host."""
        self._set_cable("down")

    def mend(self) -> None:
        """Put its cable back."""
        self._set_cable("up")

    def _set_cable(self, state: str) -> None:
        """Set the other end of its interface, which is on the underlay's bridge. A start always puts it back."""
        index = self.run("cat", "/sys/class/net/eth0/iflink").strip()
        find = f"ip -o link | sed -n 's/^{index}: \\([^@:]*\\).*/\\1/p'"
        _run_outside(self._outer, self.container, f'ip link set dev "$({find})" {state}')

    def set_mtu(self, mtu: int) -> None:
        """Give its interface on the underlay another MTU, in bytes; it keeps it over :meth:`kill` and :meth:`start`."""
        self.run("ip", "link", "set", "dev", "eth0", "mtu", str(mtu))
        self._mtu = mtu

    def leave_swarm(self) -> None:
        """Leave the swarm without asking its manager, or end it where this is the manager."""
        with self.connect() as engine, engine._errors("leave the swarm"):
            engine._api.leave_swarm(force=True)

    def allow_ssh(self, public_key: str) -> str:
        """Start its sshd, for root with *public_key* (a line of a .pub file); return a line for ``known_hosts``.

        After :meth:`start` it must be called again; the keys are the same.
        """
        script = """
        mkdir -p -m 700 /root/.ssh /run/sshd
        printf '%s\\n' "$1" >/root/.ssh/authorized_keys
        ssh-keygen -A >/dev/null
        /usr/sbin/sshd -o UsePAM=no -o PasswordAuthentication=no
        cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub
        """
        return f"{self.address} {self.run('sh', '-euc', script, 'sh', public_key).strip()}"


def _run_outside(outer: Engine, node: Container, script: str) -> None:
    """Run *script* in the network of the outer engine's host."""
    api = outer._api
    with outer._errors(f"run {script}"):
        created = api.create_container(
            image=nested_node.IMAGE,
            entrypoint=["sh", "-euc"],
            command=[script],
            labels={LABEL: node._label(LABEL)},
            host_config=api.create_host_config(network_mode="host", userns_mode="host", cap_add=["NET_ADMIN"]),
            use_config_proxy=False,
        )
        try:
            api.start(created)
            code = api.wait(created)["StatusCode"]
            assert code == 0, api.logs(created).decode()
        finally:
            api.remove_container(created, force=True)


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
        self._folder = Path(tempfile.mkdtemp(prefix="flumelab-hosts-"))
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
        folder = self._folder / name
        folder.mkdir()
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
        shutil.rmtree(self._folder, ignore_errors=True)
        _remove(self._engine, self._owner)


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

        assert wait_until(are_ready, timeout_s=_PATIENCE_S), first.log()


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
