"""Reaching the hosts of a file: side by side, every problem named, nothing left open; and what ssh says."""

import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from flume.errors import EngineError
from flume.lab.hosts import tunnel as tunnels
from flume.lab.hosts.connect import connect
from flume.lab.hosts.hosts_file import HostsFile, load_hosts, ssh_address
from flume.lab.hosts.site import Site
from flume.lab.hosts.tunnel import Tunnel
from flume.lab.machine.process import start_ticks, wait_until
from support.labs import fake_docker
from support.labs.fake_docker import FakeDocker, serving
from support.paths import SERVICES


def hosts_file(folder: Path, *hosts: str) -> HostsFile:
    text = "".join(
        f'[[host]]\nname = "h{number}"\n{host}\n' + ("server = true\n" if not number else "")
        for number, host in enumerate(hosts)
    )
    return load_hosts(text, name=str(folder / "hosts.toml"))


def reach(hosts: HostsFile, **more: Any) -> Site:
    return connect(hosts, say=lambda _line: None, **more)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Path]:
    """Two engines, at a and b in the folder that is yielded."""
    with serving(FakeDocker(), tmp_path / "a"), serving(FakeDocker(), tmp_path / "b"):
        yield tmp_path


def test_hosts_are_reached_and_clients_dealt(engines: Path) -> None:
    with reach(hosts_file(engines, 'docker = "unix://a"', f'docker = "unix://{engines}/b"'), clients=3) as site:
        assert [(host.name, host.engine.host) for host in site.hosts] == [("h0", "h0"), ("h1", "h1")]
        assert [site.host_of("client", number) for number in (1, 2, 3)] == ["h0", "h1", "h0"]
        assert site.host_of("server", None) == "h0"
        assert site.missing == {}


def test_every_host_that_does_not_answer_is_named_with_its_address(engines: Path) -> None:
    hosts = hosts_file(engines, 'docker = "unix://a"', 'docker = "unix://gone"', 'docker = "unix://gone-too"')
    with pytest.raises(EngineError) as caught:
        reach(hosts)
    said = str(caught.value)
    assert f"host h1: no Docker engine at unix://{engines}/gone" in said
    assert "host h2: " in said
    assert "nothing was started" in said
    assert "\n" not in said


def test_looking_and_clearing_away_leave_out_what_does_not_answer(engines: Path) -> None:
    said: list[str] = []
    hosts = hosts_file(engines, 'docker = "unix://gone"', 'docker = "unix://a"', 'docker = "unix://b"')
    with connect(hosts, clients=3, say=said.append, tolerant=True) as site:
        assert list(site.missing) == ["h0"]
        assert site.server.name == "h1"
        assert not site.is_single
        assert len(said) == 1
        assert said[0].startswith("Without host h0: no Docker engine at ")


def test_one_of_two_hosts_is_not_a_site_of_one(engines: Path) -> None:
    hosts = hosts_file(engines, 'docker = "unix://a"', 'docker = "unix://gone"')
    with reach(hosts, tolerant=True) as site:
        assert not site.is_single


def test_where_no_host_answers_it_is_an_error_for_looking_too(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"host h0: .*; host h1: "):
        reach(hosts_file(tmp_path, 'docker = "unix://a"', 'docker = "unix://b"'), tolerant=True)


def test_two_hosts_that_are_one_engine_are_refused(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fake_docker.INFO, "ID", "AAAA:BBBB")
    with pytest.raises(EngineError, match=r"hosts h0 and h1 are the same engine \(on fake\): remove one of them from"):
        reach(hosts_file(engines, 'docker = "unix://a"', 'docker = "unix://b"'))


def test_a_user_without_rights_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *, timeout_s: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("flume.lab.containers.connection._check_socket", refuse)
    with pytest.raises(EngineError, match=r"host h0: .* may not be used by this user: run as root, or add yourself"):
        reach(hosts_file(tmp_path, 'docker = "unix://a"'))


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as DOCKER_CERT_PATH names it, and the server's certificate in it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("ann@example.org")
    own.private_key_pem.write_to_path(folder / "key.pem")
    own.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture
def tls_engine(certificates: Path) -> Iterator[str]:
    """The address of an engine that asks for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(FakeDocker(), tls=context) as endpoint:
        yield endpoint.url


@pytest.mark.parametrize("by", ["key", "relative", "variable"])
def test_tls_with_the_files_of_the_host_or_of_the_variable(tls_engine: str, certificates: Path, by: str) -> None:
    named = {"key": f'tls = "{certificates}"', "relative": f'tls = "{certificates.name}"', "variable": ""}[by]
    hosts = hosts_file(certificates.parent, f'docker = "{tls_engine}"\n{named}')
    with reach(hosts, environment={"DOCKER_CERT_PATH": str(certificates)} if by == "variable" else {"A": ""}) as site:
        assert site.server.engine.info.name == "fake"


def test_bundles_and_proxies_of_the_environment_are_not_asked(
    tls_engine: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(other))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with reach(hosts_file(tmp_path, f'docker = "{tls_engine}"\ntls = "{certificates}"')) as site:
        assert site.server.engine.info.name == "fake"


def test_tls_without_its_files_says_which_and_where(tls_engine: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"host h0: tcp://.*: the files of TLS are not known: give the host tls ="):
        reach(hosts_file(tmp_path, f'docker = "{tls_engine}"'), environment={"A": ""})
    with pytest.raises(EngineError, match=r"has no readable ca.pem and cert.pem and key.pem"):
        reach(hosts_file(tmp_path, f'docker = "{tls_engine}"\ntls = "certs"'))


def test_an_engine_that_wants_tls_and_is_asked_without(tls_engine: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="host h0: "):
        reach(hosts_file(tmp_path, f'docker = "{tls_engine}"\ntls = false'))


# ssh


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program ssh that leads to the engine at FAKE_ENGINE, or prints FAKE_SAYS and ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        'printf "%s\\n" "$@" >"$FAKE_LOG"\n'
        'if [ -n "$FAKE_SAYS" ]; then echo "banner of the host" >&2; echo "$FAKE_SAYS" >&2; exit 255; fi\n'
        'while [ "$1" != -L ]; do shift; done\n'
        '[ -z "$FAKE_LATER" ] || echo "$FAKE_LATER" >&2\n'
        'ln -s "$FAKE_ENGINE" "${2%%:*}"\n'
        "exec sleep 300\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "ssh.log"))
    monkeypatch.setenv("FAKE_SAYS", "")
    monkeypatch.setenv("FAKE_LATER", "")
    monkeypatch.setenv("FAKE_ENGINE", str(tmp_path / "a"))
    return tmp_path / "ssh.log"


def folders() -> list[Path]:
    return [
        path
        for path in Path(tempfile.gettempdir()).glob("flumelab-ssh-*")
        if path.name.startswith(f"flumelab-ssh-{os.getpid()}-")
    ]


def test_an_engine_behind_ssh(ssh: Path, engines: Path) -> None:
    with reach(hosts_file(engines, 'docker = "ssh://ann@rack:2222"', 'docker = "unix://b"')) as site:
        assert site.engine("h0").info.name == "fake"
        assert site.engine("h0").find() == []
        (folder,) = folders()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folders() == []
    words = ssh.read_text().split()
    assert words[-2:] == ["--", "ann@rack"]
    assert words[words.index("-p") + 1] == "2222"
    assert {"BatchMode=yes", "ExitOnForwardFailure=yes"} <= set(words)


@pytest.mark.parametrize(
    ("says", "cure"),
    [
        ("Host key verification failed.", r"accept its key once by hand: ssh -p 2222 ann@rack true"),
        ("ann@rack: Permission denied (publickey).", "ssh-copy-id"),
        ("ssh: Could not resolve hostname rack: Name or service not known", "is the name in the hosts file right"),
        ("ssh: connect to host rack port 2222: Connection refused", "does its sshd run"),
        ("ssh: connect to host rack port 2222: Connection timed out", "is the host on"),
        ("something new", "something new"),
    ],
)
def test_what_ssh_says_is_the_error(
    ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, cure: str
) -> None:
    monkeypatch.setenv("FAKE_SAYS", says)
    with pytest.raises(EngineError, match=cure) as caught:
        reach(hosts_file(tmp_path, 'docker = "ssh://ann@rack:2222"'))
    assert f"host h0: ssh://ann@rack:2222: ssh says: {says}" in str(caught.value)
    assert folders() == []


def test_a_user_who_may_not_use_docker_there(ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LATER", "channel 1: open failed: connect failed: open failed")
    monkeypatch.setenv("FAKE_ENGINE", "/dev/null")  # ssh's socket is there, and nothing answers
    with pytest.raises(EngineError, match=r"host h0: .*ssh says: channel 1: open failed.*may this user use docker"):
        reach(hosts_file(tmp_path, 'docker = "ssh://ann@rack"'))
    assert folders() == []


def test_ssh_that_never_gets_there(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "/nowhere")
    with pytest.raises(EngineError, match=r"ssh has not logged in within 0.3 s"):
        Tunnel(ssh_address("ssh://rack"), timeout_s=0.3)
    assert folders() == []


def test_a_machine_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(EngineError, match="apt-get install openssh-client"):
        reach(hosts_file(tmp_path, 'docker = "ssh://ann@rack"'))


def test_a_long_path_of_temporary_files_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = tunnels._private_folder()
    folder.rmdir()
    assert len(str(folder)) < 80


def test_ssh_ends_with_a_process_that_is_killed(ssh: Path, engines: Path) -> None:
    code = (
        "import time; from flume.lab.hosts.tunnel import Tunnel; from flume.lab.hosts.hosts_file import ssh_address\n"
        "tunnel = Tunnel(ssh_address('ssh://rack')); print(tunnel._process.pid, tunnel.socket, flush=True)\n"
        "time.sleep(300)"
    )
    environment = os.environ | {"PYTHONPATH": str(SERVICES)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pid, path = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: start_ticks(int(pid)) is None, timeout_s=20)
    assert Path(path).parent.exists()
    tunnels._remove_left()
    assert not Path(path).parent.exists()
