"""Which engine is meant: as Docker's own client decides it."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from flume.errors import EngineError
from flume.lab.machine.endpoint import Endpoint, Tls, find_endpoint

LOCAL = "unix:///var/run/docker.sock"


def configure(
    folder: Path, *, current: str | None = None, contexts: dict[str, dict[str, object]] | None = None
) -> None:
    """Write what `docker context create` and `docker context use` write."""
    folder.mkdir(parents=True, exist_ok=True)
    if current is not None:
        (folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": current}))
    for name, docker in (contexts or {}).items():
        meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        meta.mkdir(parents=True)
        content = {"Name": name, "Metadata": {"Description": "x"}, "Endpoints": {"docker": docker, "other": {}}}
        (meta / "meta.json").write_text(json.dumps(content))


CONTEXTS: dict[str, dict[str, object]] = {
    "rootless": {"Host": "unix:///run/user/1000/docker.sock", "SkipTLSVerify": False},
    "far": {"Host": "tcp://far:2376", "SkipTLSVerify": True},
    "empty": {},
    "by-ssh": {"Host": "ssh://ann@far:2222"},
}


@pytest.mark.parametrize(
    ("current", "environment", "url", "named"),
    [
        (None, {}, LOCAL, False),
        ("", {}, LOCAL, False),
        ("default", {}, LOCAL, False),
        ("rootless", {}, "unix:///run/user/1000/docker.sock", True),
        ("rootless", {"DOCKER_HOST": "unix:///x"}, "unix:///x", True),
        ("rootless", {"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, "unix:///run/user/1000/docker.sock", True),
        ("rootless", {"DOCKER_CONTEXT": "far"}, "tcp://far:2376", True),
        ("rootless", {"DOCKER_CONTEXT": "default"}, LOCAL, False),
        ("rootless", {"DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://a:1"}, "tcp://a:1", True),
        ("empty", {}, LOCAL, True),
    ],
)
def test_an_engine_is_named_as_for_docker_itself(tmp_path, current, environment, url, named):
    configure(tmp_path / ".docker", current=current, contexts=CONTEXTS)
    found = find_endpoint({"HOME": str(tmp_path), **environment})
    assert (found.url, bool(found.named_by)) == (url, named)


def test_docker_config_names_another_folder(tmp_path):
    configure(tmp_path / ".docker", current="rootless", contexts=CONTEXTS)
    configure(tmp_path / "other", current="far", contexts=CONTEXTS)
    environment = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "other")}
    assert find_endpoint(environment).url == "tcp://far:2376"


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("{", "config.json"),
        ('{"currentContext": 7}', "config.json"),
        ('{"currentContext": "gone"}', "no Docker context 'gone'"),
        ('{"currentContext": "broken"}', "meta.json"),
        ('{"auths": ' + 5000 * "[", "config.json"),
    ],
)
def test_a_context_that_cannot_be_read_is_an_error_and_never_the_local_engine(tmp_path, config, names):
    """Another engine than the person means would be given labs, and could lose some."""
    folder = tmp_path / ".docker"
    configure(folder, contexts={"broken": {}})
    (folder / "config.json").write_text(config)
    next(folder.rglob("meta.json")).write_text("rubbish")
    with pytest.raises(EngineError, match=names) as caught:
        find_endpoint({"HOME": str(tmp_path)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b'{"Other": ' + 5000 * b"[", b'{"Endpoints": {"\xff": {}}}'])
def test_a_damaged_context_is_one_line_that_names_its_file(tmp_path, content):
    folder = tmp_path / ".docker"
    configure(folder, current="broken", contexts={"broken": {}})
    next(folder.rglob("meta.json")).write_bytes(content)
    with pytest.raises(EngineError, match=r"meta\.json cannot be read") as caught:
        find_endpoint({"HOME": str(tmp_path)})
    assert "\n" not in str(caught.value)


def test_a_config_that_may_not_be_read_is_an_error(tmp_path):
    (tmp_path / ".docker" / "config.json").mkdir(parents=True)  # root may read every file
    with pytest.raises(EngineError, match=r"config\.json cannot be read"):
        find_endpoint({"HOME": str(tmp_path)})


def test_a_user_without_a_docker_folder_means_the_engine_of_this_machine(tmp_path):
    assert find_endpoint({"HOME": str(tmp_path)}) == Endpoint(LOCAL)
    (tmp_path / ".docker").touch()
    assert find_endpoint({"HOME": str(tmp_path)}) == Endpoint(LOCAL)
    assert find_endpoint({"HOME": "", "DOCKER_CONFIG": os.devnull}) == Endpoint(LOCAL)


def test_certificates_of_variables_are_those_of_docker(tmp_path):
    ca, certificate, key = (tmp_path / f"{name}.pem" for name in ("ca", "cert", "key"))
    environment = {"HOME": "/nowhere", "DOCKER_HOST": "tcp://far:2376", "DOCKER_CERT_PATH": str(tmp_path)}
    assert find_endpoint(environment).tls is None
    with pytest.raises(EngineError, match=r"has no ca\.pem: set DOCKER_CERT_PATH"):
        find_endpoint({**environment, "DOCKER_TLS_VERIFY": "1"})
    ca.touch()
    assert find_endpoint({**environment, "DOCKER_TLS_VERIFY": "1"}).tls == Tls(ca, None, verify=True)
    certificate.touch()
    key.touch()
    assert find_endpoint({**environment, "DOCKER_TLS_VERIFY": "1"}).tls == Tls(ca, (certificate, key), verify=True)
    assert find_endpoint({**environment, "DOCKER_TLS": "1"}).tls == Tls(ca, (certificate, key), verify=False)
    socket = {**environment, "DOCKER_HOST": "unix:///x", "DOCKER_TLS_VERIFY": "1"}
    assert find_endpoint(socket).tls is None, "a Unix socket needs no encryption"


def test_a_context_has_certificates_of_its_own(tmp_path):
    configure(tmp_path / ".docker", current="far", contexts=CONTEXTS)
    assert find_endpoint({"HOME": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}).tls is None
    folder = tmp_path / ".docker/contexts/tls" / hashlib.sha256(b"far").hexdigest() / "docker"
    folder.mkdir(parents=True)
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").touch()
    own = (folder / "cert.pem", folder / "key.pem")
    assert find_endpoint({"HOME": str(tmp_path)}).tls == Tls(folder / "ca.pem", own, verify=False)


@pytest.mark.parametrize("environment", [{"DOCKER_HOST": "ssh://ann@far:2222"}, {"DOCKER_CONTEXT": "by-ssh"}])
def test_an_engine_behind_ssh_is_one_line_with_the_commands_to_run(tmp_path, environment):
    configure(tmp_path / ".docker", contexts=CONTEXTS)
    with pytest.raises(EngineError) as caught:
        find_endpoint({"HOME": str(tmp_path), **environment})
    assert "ssh -fnNT -L ~/engine.sock:/var/run/docker.sock -p 2222 ann@far" in str(caught.value)
    assert "DOCKER_HOST=unix://$HOME/engine.sock" in str(caught.value)
    assert "\n" not in str(caught.value)
