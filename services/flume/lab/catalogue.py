"""Folders of named TOML files, to which a person may add a file by its path.

The lab has three: link profiles (``netem/profiles``), firewall scenarios (``netem/firewall``) and scenarios of a run
(``compose/scenarios``). Each is chosen by the name of a file in its folder or by the path of any ``.toml`` file::

    read(folder, "lossy-1", key="PROFILE")          # folder/lossy-1.toml
    read(folder, "./home.toml", key="PROFILE")      # a file of the person's own
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flume.errors import SettingsError

_SUFFIX = ".toml"


class TomlFile(NamedTuple):
    """The text of one file, not yet parsed; *name* is its file name without ``.toml``."""

    name: str
    path: Path
    text: str


def names(folder: Path) -> list[str]:
    """Return the names of the files in *folder*, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}"))


def read(folder: Path, name_or_path: str, *, key: str, also: Sequence[str] = ()) -> TomlFile:
    """Read the file that *name_or_path* chooses: a name in *folder*, or a path that ends in ``.toml``.

    Raises :class:`SettingsError` for *key*: for an unknown name with the known ones, *also* (names that the caller
    handles itself) before them, and for a file that cannot be read with the system's reason.
    """
    path = Path(name_or_path)
    if not name_or_path.endswith(_SUFFIX):
        known = names(folder)
        if name_or_path not in known:
            listed = ", ".join((*also, *known))
            raise SettingsError(key, name_or_path, f"one of {listed}, or the path of a {_SUFFIX} file")
        path = folder / f"{name_or_path}{_SUFFIX}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(key, name_or_path, f"a readable TOML file ({error})") from error
    return TomlFile(path.stem, path, text)
