"""Reaching an engine: past every proxy; and the engine's own errors with what a person can do."""

import socket
import ssl
import threading

import docker.errors
import pytest
import trustme

from flume.errors import EngineAbsentError, EngineError
from flume.lab.containers.connection import translated
from flume.lab.containers.engine import Engine
from support.labs.fake_docker import FakeDocker, serving

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.mark.parametrize("by_tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_no_proxy_of_the_environment_is_asked_for_the_engine(tmp_path, monkeypatch, by_tcp, scheme):
    asked: list[object] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        serving(FakeDocker(), None if by_tcp else tmp_path / "s") as endpoint,
    ):
        thread = threading.Thread(target=_count, args=(proxy, asked))
        thread.start()
        for name in PROXIES:
            monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with Engine.connect(endpoint) as engine:
            assert engine.info.name == "fake"
            assert engine.find() == []
        proxy.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert asked == []


def _count(proxy, asked):
    while True:
        try:
            connection, address = proxy.accept()
        except OSError:
            return
        asked.append(address)
        connection.close()


@pytest.mark.parametrize("error", [TimeoutError("timed out"), PermissionError(13, "x"), ConnectionResetError(104, "x")])
def test_an_engine_that_was_not_reached_is_not_absent(error):
    with pytest.raises(EngineError) as caught, translated("look", "unix:///x"):
        raise error
    assert not isinstance(caught.value, EngineAbsentError)
    assert not str(caught.value).startswith("no Docker engine")


def test_an_engine_to_which_nothing_listens_is_absent(tmp_path):
    """Also where a library wraps what the system said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for url in (f"unix://{tmp_path}/none", f"tcp://127.0.0.1:{port}"):
        with pytest.raises(EngineAbsentError, match="no Docker engine at"):
            Engine.connect(environment={"DOCKER_HOST": url})


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("iptables: No chain/target/match by that name. (exit status 1)", "systemctl restart docker"),
        ("Error: Chain 'DOCKER' does not exist", "systemctl restart docker"),
        ("Failed to program FILTER chain: ZONE_CONFLICT: 'br-1' already bound to a zone", "systemctl restart docker"),
        ("cannot share the host's network namespace when user namespaces are enabled", "userns_mode: host"),
        ("Client sent an HTTP request to an HTTPS server.", "DOCKER_TLS_VERIFY=1"),
    ],
)
def test_what_an_engine_refuses_names_the_remedy(said, remedy):
    with pytest.raises(EngineError) as caught, translated("create network x", "unix:///x"):
        raise docker.errors.APIError("500 Server Error", explanation=said)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def write_certificates(folder, authority):
    """Write ca.pem, cert.pem and key.pem of *authority*, as Docker's client wants them."""
    folder.mkdir()
    own = authority.issue_cert("client")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    own.private_key_pem.write_to_path(str(folder / "key.pem"))


def test_an_engine_behind_tls_is_used_and_one_that_is_not_trusted_is_one_line(tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    write_certificates(tmp_path / "own", authority)
    write_certificates(tmp_path / "strange", stranger)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(FakeDocker(), tls=context) as endpoint:
        environment = {"DOCKER_HOST": endpoint.url, "DOCKER_TLS_VERIFY": "1"}
        with Engine.connect(environment={**environment, "DOCKER_CERT_PATH": str(tmp_path / "own")}) as engine:
            assert engine.find() == []
        with pytest.raises(EngineError) as caught:
            Engine.connect(environment={**environment, "DOCKER_CERT_PATH": str(tmp_path / "strange")})
        assert "see DOCKER_CERT_PATH" in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(EngineError):
            Engine.connect(environment={"DOCKER_HOST": endpoint.url})
    with serving(FakeDocker()) as endpoint, pytest.raises(EngineError, match="unset DOCKER_TLS_VERIFY"):
        Engine.connect(
            environment={**environment, "DOCKER_HOST": endpoint.url, "DOCKER_CERT_PATH": str(tmp_path / "own")}
        )
