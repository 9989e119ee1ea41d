"""The file of users: one ``name:hash`` a line. Only its owner may read it, and it is replaced as a whole.

Lines that are blank or begin with ``#`` are kept and mean nothing.
"""

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from flume.errors import SettingsError
from flume.private_files import check_private_descriptor
from flume.server.access.hashing import Hash, parse_hash

MOST_BYTES = 4 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
NAMES = "1 to 64 letters, digits, dots, dashes, underscores or @, the first a letter or digit"


def check_name(name: str) -> None:
    """Raise :class:`SettingsError` unless *name* can be a user's."""
    if _NAME.fullmatch(name) is None:
        raise SettingsError("name", name, NAMES)


def read_users(path: Path) -> Mapping[str, Hash]:
    """Return the users in *path*; raises :class:`SettingsError`, which shows no hash."""
    users: dict[str, Hash] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(":")
        try:
            check_name(name)
            if name in users:
                raise ValueError("the name is there twice")
            users[name] = parse_hash(text)
        except SettingsError:
            raise SettingsError("users", f"{path}, line {number}", f"name:hash, the name {NAMES}") from None
        except ValueError as error:
            raise SettingsError("users", f"{path}, line {number}", f"name:hash ({error})") from None
    return users


def read_lines(path: Path) -> list[str]:
    """Return the lines of *path*; raises :class:`SettingsError` for a file that others may read or change."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        allowed = f"a file that can be read ({error.strerror}); 'flume users add {path} NAME' makes one"
        raise SettingsError("users", str(path), allowed) from error
    try:
        check_private_descriptor(descriptor, path, key="users")
    except SettingsError:
        os.close(descriptor)
        raise
    with open(descriptor, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a descriptor
        return file.read(MOST_BYTES).splitlines()


@contextlib.contextmanager
def changing(path: Path) -> Iterator[list[str]]:
    """Give the lines of *path*, none for a file that is not there yet; write what they are after the body.

    Two programs that change the file wait for each other. Raises :class:`SettingsError`.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError("users", str(path), f"a file in a folder that is there ({error.strerror})") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        lines = read_lines(path) if path.exists() else []
        yield lines
        _replace(path, lines)
    finally:
        os.close(folder)


def _replace(path: Path, lines: list[str]) -> None:
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    except OSError as error:
        raise SettingsError("users", str(path), f"a file in a folder that can be written ({error.strerror})") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk: the users are those that they were
            allowed = f"a file that can be written ({error.strerror}); it is as it was"
            raise SettingsError("users", str(path), allowed) from error
        raise
