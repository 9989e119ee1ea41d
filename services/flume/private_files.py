"""Files that hold secrets: no other user may read or change them."""

import os
import stat
from pathlib import Path

from flume.errors import SettingsError

_OTHERS = 0o077
_OTHERS_OF_ROOT = 0o037
"""What root may share with a group: reading (as Debian's group ssl-cert reads keys)."""


def check_private(path: Path, *, key: str, root_may_share: bool = False) -> None:
    """Raise :class:`SettingsError` for the setting *key* unless *path* is a file that its owner alone may read.

    Its owner is this user or root. With *root_may_share* a group may read a file of root's.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SettingsError(key, str(path), f"a file that can be read ({error.strerror})") from error
    try:
        check_private_descriptor(descriptor, path, key=key, root_may_share=root_may_share)
    finally:
        os.close(descriptor)


def check_private_descriptor(descriptor: int, path: Path, *, key: str, root_may_share: bool = False) -> None:
    """Do the same for an open file, so that it cannot be another one by the time it is read."""
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode):
        raise SettingsError(key, str(path), "an ordinary file")
    if seen.st_uid not in {os.geteuid(), 0}:
        allowed = f"a file of this user's or root's, since its owner can change it; it belongs to user {seen.st_uid}"
        raise SettingsError(key, str(path), allowed)
    forbidden = _OTHERS_OF_ROOT if root_may_share and seen.st_uid == 0 else _OTHERS
    if seen.st_mode & forbidden:
        allowed = f"a file that its owner alone may read; its mode is {seen.st_mode & 0o777:03o}: chmod 600 {path}"
        raise SettingsError(key, str(path), allowed)
