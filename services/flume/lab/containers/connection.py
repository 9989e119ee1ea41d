"""How a Docker engine is reached: the SDK's client is opened, and its errors are translated.

The rules for the internet do not apply to an engine: no proxy of the environment is asked, for no address.
"""

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import docker.constants
import docker.errors
import docker.tls
import requests.adapters
import requests.exceptions
import urllib3.connection
import urllib3.exceptions

from flume.errors import EngineAbsentError, EngineError
from flume.lab.machine.endpoint import Endpoint
from flume.lab.machine.process import one_line

MAX_CONNECTIONS = 32
"""Open connections to the engine: parallel requests, and one attachment for each client."""

_ANY_VERSION = docker.constants.MINIMUM_DOCKER_API_VERSION
"""Until the engine has reported its own version."""

SILENT_S = 60
"""After so long an engine's host that acknowledges nothing, or takes nothing, counts as gone: an engine that unpacks an
image onto a slow disk takes nothing for some seconds. A host that lost its power or its network closes no connection,
and the kernel by itself gives up after 15 minutes (tcp_retries2), or never where it waits for an answer."""

FORBIDDEN = "run as root, or add yourself to the group docker (usermod -aG docker NAME, then log in again)"

_REMEDIES = {
    r"HTTP request to an HTTPS server": "it expects TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder "
    "with ca.pem, cert.pem and key.pem",
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed": "its certificate is not of the authority in ca.pem, or not "
    "for this name: see DOCKER_CERT_PATH",
    r"(?i)certificate required|bad certificate|unknown ca|alert": "it refused our certificate: see DOCKER_CERT_PATH",
    r"WRONG_VERSION_NUMBER|wrong version number|record layer": "it does not use TLS: unset DOCKER_TLS_VERIFY",
    r"No chain/target/match by that name|Chain 'DOCKER[-A-Z0-9]*' does not exist|ZONE_CONFLICT|INVALID_ZONE": "another "
    "program, such as firewalld, has removed the engine's network rules: restart the engine (systemctl restart docker)",
    r"user namespaces? (?:is|are) enabled|host's network namespace": "the engine was started with --userns-remap: its "
    "probe needs `userns_mode: host`, as in compose/lab.yaml",
}
"""In an engine's or a connection's message → what a person can do about it. The first match counts."""


def _remedy(message: str) -> str:
    return next((f": {remedy}" for pattern, remedy in _REMEDIES.items() if re.search(pattern, message)), "")


@contextlib.contextmanager
def translated(what: str, endpoint: str) -> Iterator[None]:
    """Raise :class:`EngineError` for everything that the SDK and the libraries under it raise.

    :class:`EngineAbsentError` means that no program listens there; no other error means that.
    """
    try:
        yield
    except docker.errors.APIError as error:
        reason = one_line(error.explanation or str(error))
        raise EngineError(f"the Docker engine{_named(endpoint)} could not {what}: {reason}{_remedy(reason)}") from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError, BlockingIOError) as error:
        message = f"the Docker engine at {endpoint} does not answer ({what}): is it hung? restart it, then try again"
        raise EngineError(message) from error
    except PermissionError as error:
        raise EngineError(f"the Docker engine at {endpoint} may not be used by this user: {FORBIDDEN}") from error
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        if "timed out" in str(error):
            raise EngineError(f"the Docker engine at {endpoint} does not answer ({what}): is it hung?") from error
        reason = one_line(str(error))
        if any(isinstance(one, FileNotFoundError | ConnectionRefusedError) for one in _causes(error)):
            raise EngineAbsentError(f"no Docker engine at {endpoint} ({what}): {reason}") from error
        message = f"the Docker engine at {endpoint} cannot be reached ({what}): {reason}{_remedy(reason)}"
        raise EngineError(message) from error


def _named(endpoint: str) -> str:
    """Return the host in *endpoint*, in words; empty where the lab has one engine, which needs no name."""
    _, found, rest = endpoint.partition(" (host ")
    return f" on {rest.removesuffix(')')}" if found else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and the errors that it was raised for: a library wraps what the system said."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _check_socket(path: str, *, timeout_s: float) -> None:
    """Raise :class:`OSError` if no engine listens at *path*: the SDK leaks a socket each time it fails."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(path)


class _NetworkAdapter(requests.adapters.HTTPAdapter):
    """Connections over a network, on which the kernel asks whether the host is still there (TCP_USER_TIMEOUT)."""

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """Make the pool of connections; requests calls it."""
        asks = ((socket.TCP_KEEPIDLE, SILENT_S // 2), (socket.TCP_KEEPINTVL, max(1, SILENT_S // 4)))
        options = [
            *urllib3.connection.HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            *((socket.IPPROTO_TCP, option, value) for option, value in asks),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000),  # in ms; counts for keep-alives too
        ]
        super().init_poolmanager(*arguments, socket_options=options, **more)


def open_engine(endpoint: Endpoint, *, timeout_s: float, host: str = "") -> tuple[Any, Mapping[str, Any]]:
    """Return the SDK's client for the engine at *endpoint*, and the engine's answer to ``docker info``.

    *host*: its name for messages.

    Raises :class:`EngineError` if no engine is there, or it does not answer within *timeout_s*.
    """
    settings: dict[str, Any] = {"version": _ANY_VERSION, "timeout": timeout_s, "max_pool_size": MAX_CONNECTIONS}
    with translated("ask for its version", f"{endpoint.url} (host {host})" if host else endpoint.url):
        if endpoint.socket_path:
            _check_socket(endpoint.socket_path, timeout_s=timeout_s)
        try:
            api: Any = docker.APIClient(base_url=endpoint.url, tls=_tls_config(endpoint), **settings)
        except ValueError as error:  # such as a port above 65535
            named_by = endpoint.named_by or "Docker"
            raise EngineError(f"{named_by}={endpoint.url} is no address of a Docker engine: {error}") from error
        try:
            if not endpoint.socket_path:
                for scheme in ("http://", "https://"):
                    api.mount(scheme, _NetworkAdapter(pool_maxsize=MAX_CONNECTIONS))
            api.trust_env = False  # the proxies in HTTP_PROXY and ALL_PROXY, also for a Unix socket; and .netrc
            # As version="auto" does; but on failure the SDK's constructor leaks its connection.
            api._version = api._retrieve_server_version()  # noqa: SLF001
            return api, api.info()
        except BaseException:
            api.close()
            raise


def _tls_config(endpoint: Endpoint) -> docker.tls.TLSConfig | bool:
    if endpoint.tls is None:
        return False
    ca, certificate = endpoint.tls.ca, endpoint.tls.certificate
    return docker.tls.TLSConfig(
        client_cert=None if certificate is None else (str(certificate[0]), str(certificate[1])),
        ca_cert=None if ca is None else str(ca),
        verify=endpoint.tls.verify,
    )
