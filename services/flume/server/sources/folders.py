"""What a folder plays: its films; without any, its sound; without that, its pictures as a slide show."""

import os
import re
from collections import defaultdict
from pathlib import Path

from flume.server.sources.items import Item, UnplayableError, file_item, reason_of
from flume.server.sources.suffixes import FOLDER_ORDER, Kind, kind_of


def folder_items(path: Path) -> list[Item]:
    """Return the items of the folder at *path* in natural order; folders inside it are not looked into.

    Raises :class:`~.items.UnplayableError` if it has none. A link that leads nowhere is an item, because what it points
    to may be mounted later. Hidden files are none: ``._film.mp4`` is what macOS writes beside ``film.mp4``.
    """
    names: dict[Kind | None, list[str]] = defaultdict(list)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and _may_be_file(entry):
                    names[kind_of(entry.name)].append(entry.name)
    except OSError as error:
        predicate = f"cannot be read ({reason_of(error)}): change its permissions"
        raise UnplayableError(str(path), predicate, kind="the folder") from error
    for kind in FOLDER_ORDER:
        if names[kind]:
            return [file_item(path / name) for name in sorted(names[kind], key=natural)]
    predicate = "contains no video, sound or picture: put files such as .mp4, .mkv or .jpg into it"
    raise UnplayableError(str(path), predicate, kind="the folder")


def _may_be_file(entry: "os.DirEntry[str]") -> bool:
    """Whether *entry* is a file, or a link that leads nowhere or in circles."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return entry.is_symlink()


def natural(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Return a sort key by which part2 comes before part10.

    >>> sorted(["part10", "Part2"], key=natural)
    ['Part2', 'part10']
    """
    runs = re.findall(r"([0-9]*)([^0-9]*)", name)
    return tuple((int(run or 0), text.casefold()) for run, text in runs), name
