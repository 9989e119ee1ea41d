"""Which Docker engine is meant: the one that ``docker`` itself would use. Reads files, asks no engine.

In this order, as Docker's command-line client does it:

1. ``DOCKER_HOST``, with ``DOCKER_TLS_VERIFY``, ``DOCKER_TLS`` and ``DOCKER_CERT_PATH``
2. the context that ``DOCKER_CONTEXT`` names
3. the context that ``docker context use`` has written to ``config.json``
4. the socket of this machine, :data:`SOCKET`

Rootless Docker, Docker Desktop and Colima set a context and no variable. A context that cannot be read is an error: to
take the engine of this machine instead could remove labs from the wrong engine.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from flume.errors import EngineError
from flume.untrusted_json import decode_untrusted

SOCKET = Path("/var/run/docker.sock")


class Tls(msgspec.Struct, frozen=True):
    """How a connection over TCP is encrypted; the paths are those of PEM files."""

    ca: Path | None
    certificate: tuple[Path, Path] | None
    """Certificate and key that prove to the engine who asks."""
    verify: bool


class Endpoint(msgspec.Struct, frozen=True):
    """Where an engine is, and what says so."""

    url: str
    named_by: str = ""
    """The variable or context that names it; empty: nothing does, so it is the engine of this machine."""
    tls: Tls | None = None
    is_tunnel: bool = False
    """Whether its socket leads to another machine."""

    @property
    def is_local(self) -> bool:
        """Whether it is an engine of this machine, as far as its address tells."""
        return bool(self.socket_path) and not self.is_tunnel

    @property
    def socket_path(self) -> str:
        """The path of a Unix socket; empty for an engine that is reached in another way."""
        scheme, _, path = self.url.partition("://")
        return path if scheme == "unix" else ""


class _Config(msgspec.Struct):
    """The part of ``config.json`` that names a context."""

    current_context: str = msgspec.field(name="currentContext", default="")


class _DockerEndpoint(msgspec.Struct):
    host: str = msgspec.field(name="Host", default="")
    skip_tls_verify: bool = msgspec.field(name="SkipTLSVerify", default=False)


class _Meta(msgspec.Struct):
    """A context, in its file ``meta.json``."""

    endpoints: dict[str, _DockerEndpoint] = msgspec.field(name="Endpoints", default_factory=dict)


def find_endpoint(environment: Mapping[str, str]) -> Endpoint:
    """Return the engine that *environment*, or else the user's own files, name.

    >>> find_endpoint({"DOCKER_HOST": "tcp://lab:2375", "DOCKER_CONTEXT": "other"}).url
    'tcp://lab:2375'

    Raises :class:`EngineError` that names the file where a context cannot be read, or ``ssh://`` is meant.
    """
    folder = _config_folder(environment)
    if host := environment.get("DOCKER_HOST", "").strip():
        return _checked(Endpoint(host, "DOCKER_HOST", _tls_of_environment(host, environment, folder)))
    if name := environment.get("DOCKER_CONTEXT", ""):
        source = "DOCKER_CONTEXT"
    elif folder is not None and (name := _current_context(folder / "config.json")):
        source = f"{folder}/config.json"
    if not name or name == "default" or folder is None:
        return Endpoint(f"unix://{SOCKET}")
    return _checked(_endpoint_of_context(name, source, folder))


def _config_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of Docker's client; None for a user without a home."""
    if named := environment.get("DOCKER_CONFIG"):
        return Path(named)
    try:
        return (Path(environment["HOME"]) if environment.get("HOME") else Path.home()) / ".docker"
    except RuntimeError:
        return None


def _read(path: Path) -> bytes | None:
    """Return what *path* contains; None where there is no such file. Raises :class:`EngineError`."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EngineError(_unreadable(path, error.strerror)) from error


def _unreadable(path: Path, why: object) -> str:
    return f"{path} cannot be read ({why}), so it is unknown which Docker engine is meant: set DOCKER_HOST, or mend it"


def _current_context(path: Path) -> str:
    try:
        return decode_untrusted(_read(path) or b"{}", _Config).current_context
    except msgspec.DecodeError as error:
        raise EngineError(_unreadable(path, error)) from error


def _endpoint_of_context(name: str, source: str, folder: Path) -> Endpoint:
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    path = folder / "contexts" / "meta" / digest / "meta.json"
    content = _read(path)
    if content is None:
        raise EngineError(
            f"there is no Docker context {name!r}, which {source} names: see `docker context ls`, "
            "then `docker context use NAME`, or set DOCKER_HOST"
        )
    try:
        meta = decode_untrusted(content, _Meta)
    except msgspec.DecodeError as error:
        raise EngineError(_unreadable(path, error)) from error
    found = meta.endpoints.get("docker", _DockerEndpoint())
    url = found.host or f"unix://{SOCKET}"
    certificates = folder / "contexts" / "tls" / digest / "docker"
    tls = None
    if url.startswith("tcp:") and certificates.is_dir():
        tls = _tls(certificates, verify=not found.skip_tls_verify)
    return Endpoint(url, f"the Docker context {name!r} ({source})", tls)


def _tls_of_environment(host: str, environment: Mapping[str, str], folder: Path | None) -> Tls | None:
    """Return how to encrypt, if at all. As for ``docker``, an empty variable counts as none."""
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not host.startswith("tcp:") or not (verify or environment.get("DOCKER_TLS")):
        return None
    certificates = Path(environment.get("DOCKER_CERT_PATH") or folder or os.curdir)
    if verify and not (certificates / "ca.pem").is_file():
        raise EngineError(
            f"DOCKER_TLS_VERIFY is set, and {certificates} has no ca.pem: set DOCKER_CERT_PATH to the folder with "
            "ca.pem, cert.pem and key.pem"
        )
    return _tls(certificates, verify=verify)


def _tls(folder: Path, *, verify: bool) -> Tls:
    ca, certificate, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    own = (certificate, key) if certificate.is_file() and key.is_file() else None
    return Tls(ca if ca.is_file() else None, own, verify)


def _checked(endpoint: Endpoint) -> Endpoint:
    """Return *endpoint*; raise :class:`EngineError` with the remedy for one that only ``docker`` itself can reach."""
    if not endpoint.url.startswith("ssh:"):
        return endpoint
    host = endpoint.url.removeprefix("ssh://")
    raise EngineError(
        f"{endpoint.url} ({endpoint.named_by}) is reached by ssh, which the lab does not start: run "
        f"`ssh -fnNT -L ~/engine.sock:{SOCKET} {_ssh_words(host)}`, then set DOCKER_HOST=unix://$HOME/engine.sock"
    )


def _ssh_words(host: str) -> str:
    """Return the words for ``ssh`` that mean *host*.

    >>> _ssh_words("ann@lab.example:2222"), _ssh_words("lab")
    ('-p 2222 ann@lab.example', 'lab')
    """
    name, _, port = host.partition("/")[0].rpartition(":")
    return f"-p {port} {name}" if name and port.isdigit() else host.partition("/")[0]
