"""On which hosts a lab was started last: ``make status`` and ``make down`` then need no hosts file to be named again.

One file a lab in the checkout's cache: a copy of the hosts file, with its path in the first line, since a relative path
in it is meant beside it. A lab that is removed from all of its hosts is forgotten.
"""

import contextlib
from pathlib import Path

from flume.errors import LabError, SettingsError
from flume.lab.hosts.hosts_file import HostsFile, load_hosts

_HEAD = "# hosts of a lab, from: "


def read_hosts(path: Path) -> HostsFile:
    """Return the hosts file *path*; raises :class:`SettingsError`, also where it cannot be read."""
    return load_hosts(_text(path), name=str(path))


def remember(cache: Path, lab: str, path: Path) -> None:
    """Remember that *lab* runs on the hosts in the file *path*. Raises :class:`LabError` where that is not possible."""
    where = _file(cache, lab)
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        new = where.with_suffix(".new")
        new.write_text(f"{_HEAD}{path.absolute()}\n{_text(path)}")
        new.replace(where)
    except OSError as error:
        raise LabError(f"the hosts of lab {lab!r} cannot be remembered in {where}: {error.strerror}") from error


def remembered(cache: Path, lab: str) -> HostsFile | None:
    """Return the hosts that *lab* was started on last; None: on one engine, or it was removed since."""
    where = _file(cache, lab)
    try:
        head, _, text = where.read_text().partition("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{where}, which names the hosts of lab {lab!r}, cannot be read: {error}") from error
    try:
        return load_hosts(text, name=head.removeprefix(_HEAD))
    except SettingsError as error:
        raise LabError(
            f"{where}, which names the hosts of lab {lab!r}, is damaged: {error}; name them: HOSTS=FILE"
        ) from error


def forget(cache: Path, lab: str) -> None:
    """Forget the hosts of *lab*."""
    _file(cache, lab).unlink(missing_ok=True)


def forget_labs(cache: Path, hosts: HostsFile) -> None:
    """Forget each lab whose hosts are all among *hosts*."""
    addresses = {host.docker for host in hosts.hosts}
    for where in (cache / "hosts").glob("*.toml"):
        with contextlib.suppress(LabError):  # damaged: the command that needs it says so
            found = remembered(cache, where.stem)
            if found is not None and addresses.issuperset(host.docker for host in found.hosts):
                forget(cache, where.stem)


def _file(cache: Path, lab: str) -> Path:
    return cache / "hosts" / f"{lab}.toml"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("HOSTS", str(path), f"a readable file of hosts ({error}); see docs/hosts.md") from error
