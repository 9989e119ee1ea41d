"""The look before a run, with three engines: what is right, and what can be wrong before anything is started."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flume.errors import EngineError, SetupError
from flume.lab.containers import connection, images
from flume.lab.containers.engine import Engine
from flume.lab.containers.image_store import ImageStore
from flume.lab.engines.preflight import examine, require
from flume.lab.engines.prepare import clear
from flume.lab.hosts.connect import connect
from flume.lab.hosts.hosts_file import HostsFile, load_hosts
from flume.lab.hosts.images_copied import copy_missing, lacking
from flume.lab.hosts.readiness import Readiness
from support.labs.nested import Host, HostOptions, join_swarm, nested_engines

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def file_of(folder: Path, *hosts: Host, more: str = "") -> HostsFile:
    text = "".join(
        f'[[host]]\nname = "{host.name}"\ndocker = "{host.url}"\ntls = false\n'
        + ("server = true\n" if not number else "")
        for number, host in enumerate(hosts)
    )
    return load_hosts(text + more, name=str(folder / "hosts.toml"))


def quiet(_line: str) -> None:
    pass


def examined(folder: Path, *hosts: Host) -> Readiness:
    """Return what is found, and that nothing is left of the look."""
    with connect(file_of(folder, *hosts), say=quiet) as site:
        try:
            return examine(site, say=quiet)
        finally:
            assert site.names(None) == []
            assert [host.engine.locks.find() for host in site.hosts] == [[]] * len(hosts)


@contextlib.contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        undo()


def test_three_hosts_of_one_swarm_are_ready(hosts: list[Host], tmp_path: Path) -> None:
    found = examined(tmp_path, *hosts)
    assert found.problems == ()
    assert found.mtu == 1500
    server, *others = found.rows
    assert server.host == "h1 (server)"
    assert [row.path for row in others] == ["1450 bytes and batches"] * 2
    assert {row.mtu for row in found.rows} == {"1500 (eth0)"}
    assert {row.images for row in found.rows} == {"all there"}
    assert server.clock == "reference"
    assert all(re.fullmatch(r"[+-]\d+\.\d{3} ms ± \d+\.\d{3} ms", row.clock) for row in others)
    assert all(row.netem in {"kernel", "wire"} for row in found.rows)
    require(found, file="hosts.toml")


def test_a_network_of_1450_bytes_is_used_as_that(hosts: list[Host], tmp_path: Path) -> None:
    with undone(lambda: hosts[1].set_mtu(1500)):
        hosts[1].set_mtu(1450)
        found = examined(tmp_path, *hosts)
    assert found.problems == ()
    assert found.mtu == 1450
    assert found.rows[2].path == "1400 bytes and batches"


def test_a_network_of_1400_bytes_is_refused(hosts: list[Host], tmp_path: Path) -> None:
    with undone(lambda: hosts[2].set_mtu(1500)):
        hosts[2].set_mtu(1400)
        found = examined(tmp_path, *hosts)
    assert [problem.partition(", and")[0] for problem in found.problems] == [
        "host h3: the MTU of eth0, by which it reaches the others, is 1400"
    ]
    with pytest.raises(SetupError, match="host h3: the MTU of eth0"):
        require(found, file="hosts.toml")


def test_a_firewall_between_two_hosts_is_found(hosts: list[Host], tmp_path: Path) -> None:
    rule = ("INPUT", "-p", "udp", "--dport", "4789", "-j", "DROP")
    with undone(lambda: hosts[1].run("iptables", "-D", *rule)):
        hosts[1].run("iptables", "-I", *rule)
        found = examined(tmp_path, *hosts)
    assert found.problems == (
        f"the overlay network carries nothing between h1 ({hosts[0].address}) and h2 ({hosts[1].address}): let UDP "
        "4789, and TCP and UDP 7946 through between the two",
    )
    assert [row.path for row in found.rows] == ["–", "nothing passes", "1450 bytes and batches"]


def test_hosts_without_a_swarm_and_in_others_and_one_without_images(engine: Engine, tmp_path: Path) -> None:
    """Hosts of its own: they are in no Swarm first, then in two, then in one; h2 is in another time zone."""
    images.ensure_images(engine, say=print)
    tags = [images.tag_of(target) for target in images.TARGETS]
    options = {"h2": HostOptions(environment={"TZ": "Asia/Tokyo"})}
    with nested_engines(engine, 2, images=tags, options=options) as (first, second):
        found = examined(tmp_path, first, second)
        assert "none of the hosts is in a Swarm" in found.problems[0]
        assert found.to_type[0] == ("h1", f"docker swarm init --advertise-addr {first.address}")
        assert found.to_type[-1] == ("h2", f"docker swarm join --token TOKEN {first.address}:2377")

        join_swarm([first])
        found = examined(tmp_path, first, second)
        assert "in no Swarm, so the lab's network does not reach them: h2" in found.problems[0]

        join_swarm([second])
        found = examined(tmp_path, first, second)
        assert "the hosts are in different Swarms (h1 and h2)" in found.problems[0]

        second.leave_swarm()
        join_swarm([first, second])
        second.run("docker", "image", "rm", "--force", *tags)
        with connect(file_of(tmp_path, first, second), say=quiet) as site:
            assert lacking(site, tags) == {"h2": tags}
            found = examine(site, say=quiet)
            assert found.problems == ()
            assert found.rows[1].images == f"copied: {', '.join(tags)}"
            assert lacking(site, tags) == {}
        assert_purged(tmp_path, first, second, tags)


def assert_purged(folder: Path, first: Host, second: Host, tags: list[str]) -> None:
    """A purge of hosts leaves nothing of ours but what a person's container needs."""
    second.run("docker", "create", "--name", "mine", tags[0])
    said: list[str] = []
    with connect(file_of(folder, first, second), say=quiet) as site:
        clear(site, said.append, again="make purge")
    assert ours(first) == set()
    assert ours(second) == {tags[0]}
    assert f"Kept the image {tags[0]}:latest on h2: the container mine uses it." in said
    assert {f"Removed image {tag}:latest on h1." for tag in tags} <= set(said)


def ours(host: Host) -> set[str]:
    """Return the images of ours on *host*."""
    shown = host.run("docker", "image", "ls", "--format", "{{.Repository}}").split()
    return {name for name in shown if name.startswith(images.PREFIX)}


def test_a_host_that_is_lost_while_it_takes_the_images_is_named_at_once(
    hosts: list[Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cable that is pulled in the middle of an image; by itself the kernel would wait for a quarter of an hour."""
    monkeypatch.setattr(connection, "SILENT_S", 4)
    lost, tag = hosts[2], images.tag_of("client")
    save = ImageStore.save

    def saved(store: ImageStore, tags: Sequence[str]) -> Iterator[bytes]:
        for number, part in enumerate(save(store, tags)):
            if number == 20:
                lost.cut()
            yield part

    monkeypatch.setattr(ImageStore, "save", saved)

    def restored() -> None:
        lost.mend()
        monkeypatch.undo()
        join_swarm(hosts)  # waits until it is ready
        with connect(file_of(tmp_path, *hosts), say=quiet) as site:
            copy_missing(site, [tag], say=quiet)

    with undone(restored), connect(file_of(tmp_path, *hosts), say=quiet) as site:
        for host in hosts[1:]:
            host.run("docker", "image", "rm", "--force", tag)
        began_s = time.monotonic()
        with pytest.raises(EngineError, match=r"^host h3: the Docker engine at .* does not answer \(take the images\)"):
            copy_missing(site, [tag], say=quiet)
        assert time.monotonic() - began_s < 60
        with connect(file_of(tmp_path, *hosts[:2]), say=quiet) as rest:
            assert lacking(rest, [tag]) == {}, "the other host has taken them"


def test_one_engine_under_two_addresses_is_refused(hosts: list[Host], tmp_path: Path) -> None:
    again = f'[[host]]\nname = "again"\ndocker = "{hosts[0].url}/"\ntls = false\n'
    with pytest.raises(EngineError, match=r"hosts h1 and again are the same engine \(on h1\): remove one of them from"):
        connect(file_of(tmp_path, hosts[0], more=again), say=quiet)


# ssh


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key, and a program ssh with the settings in the file config beside it, as a user's own would be."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    (tmp_path / "config").write_text(
        f"IdentityFile {tmp_path}/key\nUserKnownHostsFile {tmp_path}/known\nLogLevel INFO\n"
    )
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "key"


def by_ssh(folder: Path, host: Host) -> HostsFile:
    text = f'[[host]]\nname = "far"\ndocker = "ssh://root@{host.address}"\nserver = true\n'
    return load_hosts(text, name=str(folder / "hosts.toml"))


def test_an_engine_by_ssh(hosts: list[Host], key: Path, tmp_path: Path) -> None:
    host = hosts[2]
    known = host.allow_ssh(key.with_suffix(".pub").read_text().strip())
    with undone(lambda: host.run("pkill", "-x", "sshd")):
        with pytest.raises(EngineError, match=r"host far: ssh://.* ssh says: Host key verification failed.*by hand"):
            connect(by_ssh(tmp_path, host), say=quiet)
        (tmp_path / "known").write_text(f"{known}\n")
        with connect(by_ssh(tmp_path, host), say=quiet) as site:
            assert site.server.engine.info.name == "h3"
            assert site.find() == []
        host.run("sh", "-c", ": >/root/.ssh/authorized_keys")
        with pytest.raises(EngineError, match=r"Permission denied .*ssh-copy-id"):
            connect(by_ssh(tmp_path, host), say=quiet)
    with pytest.raises(EngineError, match=r"Connection refused; is the host on, does its sshd run"):
        connect(by_ssh(tmp_path, host), say=quiet)
