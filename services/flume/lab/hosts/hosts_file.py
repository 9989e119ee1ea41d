"""The hosts file: the machines of a lab over several, and how the clients are dealt to them. Pure: text in, values out.

::

    [[host]]
    name = "desk"
    docker = "unix:///var/run/docker.sock"
    server = true

    [[host]]
    name = "rack"
    docker = "ssh://ann@rack.example"
    weight = 2
"""

import re
import tomllib
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from flume.errors import SettingsError
from flume.lab.hosts.overlay import MAX_HOSTS
from flume.lab.strict import FileValue, line_of
from flume.settings import check

KEY = "HOSTS"
"""Under which a mistake in the file is named."""

SOCKET = "/var/run/docker.sock"
"""Of the engine on a host that is reached by ssh, where the address names no other."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_USER_AND_HOST = re.compile(r"([A-Za-z0-9_][^\s@/:]*@)?[A-Za-z0-9_\[][^\s@/]*")
_ADDRESSES = '"unix:///var/run/docker.sock" for this machine, "ssh://user@host", or "tcp://host:2376", which has TLS'


class SshAddress(NamedTuple):
    """What ``ssh`` is given to reach an engine."""

    destination: str
    """``host`` or ``user@host``; a name of the user's own ssh configuration too."""
    port: int | None
    socket: str
    """The path of the engine's socket there."""


class HostEntry(FileValue, frozen=True, kw_only=True):
    """One ``[[host]]``."""

    name: str
    docker: str
    """``unix://``, ``ssh://`` or ``tcp://``: where its engine is."""
    server: bool = False
    clients: int | None = None
    """How many clients run here; None: a share by *weight*."""
    weight: float | None = None
    """Its share of the clients that no host has fixed, beside the other weights; None: 1."""
    tls: str | bool | None = None
    """Folder with ca.pem, cert.pem and key.pem; None: that of DOCKER_CERT_PATH. False: no TLS, for a private link."""

    def __post_init__(self) -> None:
        """Check each value."""
        check(_NAME.fullmatch(self.name) is not None, "name", self.name, "letters, digits and . _ - (at most 63)")
        _check_address(self.docker)
        check(self.clients is None or self.weight is None, "weight", self.weight, "absent beside clients")
        check(self.clients is None or self.clients >= 0, "clients", self.clients, "0 or more")
        check(self.weight is None or 0 <= self.weight < 1e6, "weight", self.weight, "0 to 1000000")
        is_tcp = self.docker.startswith("tcp:")
        check(self.tls is None or is_tcp, "tls", self.tls, "absent: only an engine at tcp:// has TLS")
        check(self.tls is not True, "tls", self.tls, "the folder with ca.pem, cert.pem and key.pem, or false")

    @property
    def share(self) -> float:
        """Its weight among the hosts that have no fixed number of clients."""
        return 1.0 if self.weight is None else self.weight


class HostsFile(NamedTuple):
    """A hosts file; *file* is its path, as a person gave it."""

    file: str
    hosts: tuple[HostEntry, ...]

    @property
    def server(self) -> HostEntry:
        """The host that the server runs on."""
        return next(host for host in self.hosts if host.server)

    def path(self, name: str) -> Path:
        """Return the path that *name* means in this file: a relative one is beside the file."""
        return Path(self.file).parent / name


def _check_address(docker: str) -> None:
    scheme, separator, rest = docker.partition("://")
    check(bool(separator) and scheme in {"unix", "ssh", "tcp"} and bool(rest), "docker", docker, _ADDRESSES)
    if scheme == "ssh":
        ssh_address(docker)
    elif scheme == "tcp":
        parts = _split(docker)
        known = parts.hostname and parts.port and parts.path in {"", "/"} and not parts.username
        check(bool(known), "docker", docker, "with a host and a port, such as tcp://rack.example:2376")


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError as error:  # such as a port above 65535
        raise SettingsError("docker", url, f"{_ADDRESSES} ({error})") from None
    return parts


def ssh_address(url: str) -> SshAddress:
    """Return what ``ssh`` is given for *url*. Raises :class:`SettingsError` for the key ``docker``.

    >>> ssh_address("ssh://ann@rack.example:2222")
    SshAddress(destination='ann@rack.example', port=2222, socket='/var/run/docker.sock')
    """
    parts = _split(url)
    name = parts.netloc.removesuffix(f":{parts.port}").rstrip(":")
    check(not parts.password, "docker", url, "without a password: ssh uses your keys (ssh-copy-id user@host)")
    # A name that begins with a hyphen would be taken for an option.
    check(_USER_AND_HOST.fullmatch(name) is not None, "docker", url, "such as ssh://user@host or ssh://user@host:2222")
    # Of an IPv6 address the brackets belong to the URL alone.
    return SshAddress(re.sub(r"[\[\]]", "", name), parts.port, parts.path if len(parts.path) > 1 else SOCKET)


def load_hosts(text: str, *, name: str) -> HostsFile:
    """Return the hosts file in *text*; *name* is its path. Raises :class:`SettingsError` with file, line and host.

    >>> text = '[[host]]\\nname = "desk"\\ndocker = "unix:///run/docker.sock"\\nserver = true'
    >>> load_hosts(text, name="hosts.toml").server.name
    'desk'
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(KEY, name, f"must be TOML: {error}") from None
    if unknown := sorted(table.keys() - {"host"}):
        where = _line(text, unknown[0])
        raise SettingsError(KEY, name, f"{where}the key {unknown[0]} is unknown here: each host is a table [[host]]")
    found = table.get("host", [])
    if type(found) is not list or not found or not all(type(one) is dict for one in found):
        raise SettingsError(KEY, name, "must have at least one table [[host]] with name and docker")
    hosts = tuple(_entry(text, name, index, one) for index, one in enumerate(found))
    _check_together(name, hosts)
    return HostsFile(name, hosts)


def _line(text: str, path: str) -> str:
    number = line_of(text, path)
    return "" if number is None else f"line {number}: "


def _entry(text: str, file: str, index: int, table: Mapping[str, Any]) -> HostEntry:
    whose = f"host {table['name']!r}" if isinstance(table.get("name"), str) else f"host number {index + 1}"
    known = HostEntry.__struct_fields__
    for key in table.keys() - set(known):
        where = _line(text, f"host[{index}].{key}")
        raise SettingsError(KEY, file, f"{where}{whose} has the unknown key {key}: the keys are {', '.join(known)}")
    try:
        return msgspec.convert(table, HostEntry)
    except SettingsError as error:
        raise SettingsError(KEY, file, f"{_line(text, f'host[{index}].{error.key}')}{whose}: {error}") from None
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$.")
        where = _line(text, f"host[{index}].{key}") if key else ""
        raise SettingsError(KEY, file, f"{where}{whose}: {f'{key}: ' if key else ''}{what}") from None


def _check_together(file: str, hosts: tuple[HostEntry, ...]) -> None:
    for kind in ("name", "docker"):
        values = [getattr(host, kind) for host in hosts]
        for value in values:
            if values.count(value) > 1:
                names = " and ".join(repr(host.name) for host in hosts if getattr(host, kind) == value)
                raise SettingsError(KEY, file, f"two hosts have {kind} = {value!r} ({names}): each needs its own")
    servers = [repr(host.name) for host in hosts if host.server]
    if len(servers) != 1:
        seen = f"{' and '.join(servers)} both have it" if servers else "none has it"
        raise SettingsError(KEY, file, f"one host must have server = true, and {seen}")
    if len(hosts) > MAX_HOSTS:
        raise SettingsError(KEY, file, f"at most {MAX_HOSTS} hosts, and there are {len(hosts)}")


def deal_clients(hosts: HostsFile, clients: int) -> dict[int, str]:
    """Return number of a client, from 1 on → name of its host: hosts take turns, so that neighbours are apart.

    Raises :class:`SettingsError` where the numbers in the file cannot give *clients*.

    >>> text = '[[host]]\\nname = "a"\\ndocker = "unix:///a"\\nserver = true\\n[[host]]\\nname = "b"\\ndocker = "unix:///b"'
    >>> deal_clients(load_hosts(text, name="hosts.toml"), 3)
    {1: 'a', 2: 'b', 3: 'a'}
    """
    counts = _counts(hosts, clients)
    return dict(enumerate(_in_turn(counts), 1))


def _counts(hosts: HostsFile, clients: int) -> dict[str, int]:
    """Return name of a host → how many of *clients* it takes."""
    fixed = sum(host.clients or 0 for host in hosts.hosts)
    rest = clients - fixed
    sharing = [host for host in hosts.hosts if host.clients is None]
    total = sum(host.share for host in sharing)
    if rest < 0 or (rest and not total):
        more = " or more" if total else "" if rest < 0 else ", or give a host a weight above 0"
        raise SettingsError(
            "CLIENTS", clients, f"{hosts.file} fixes {fixed} of its hosts' clients: ask for {fixed}{more}"
        )
    exact = {host.name: rest * host.share / total for host in sharing if total}
    counts = {host.name: host.clients or 0 for host in hosts.hosts} | {name: int(part) for name, part in exact.items()}
    # The largest remainders take what is left, of equals the first in the file.
    by_remainder = sorted(exact, key=lambda name: int(exact[name]) - exact[name])
    for name in by_remainder[: clients - sum(counts.values())]:
        counts[name] += 1
    return counts


def _in_turn(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield each name as often as *counts* says, as evenly spread as can be."""
    total = sum(counts.values())
    credit = dict.fromkeys(counts, 0)
    for _ in range(total):
        for name, count in counts.items():
            credit[name] += count
        chosen = max(credit, key=lambda name: credit[name])
        credit[chosen] -= total
        yield chosen
