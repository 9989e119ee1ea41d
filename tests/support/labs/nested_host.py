"""One host of ``nested.py``: a machine with an engine that a test may switch off, cut off and change."""

import dataclasses
import socket
from collections.abc import Mapping, Sequence

import trustme

from flume.errors import EngineError
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Engine
from flume.lab.machine.endpoint import Endpoint
from flume.lab.machine.process import wait_until
from support.labs import nested_node

LABEL = "flumelab.test-hosts"
"""Of all that is made for hosts; its value names the process that made it."""

UNDERLAY_MTU = 1500

PATIENCE_S = 120.0
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
        assert wait_until(lambda: self._answers() or not self.is_running(), timeout_s=PATIENCE_S), self.log()
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
        assert wait_until(lambda: not self.is_running(), timeout_s=PATIENCE_S)

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
        known = self.run("sh", "-euc", script, "sh", public_key).strip()
        # sshd goes into the background before it listens.
        assert wait_until(lambda: _listens(self.address, 22), timeout_s=PATIENCE_S), f"sshd of {self.name}"
        return f"{self.address} {known}"


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


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
