"""Which module this machine's VLC has for ``rtsp://``: its plugins are files with fixed names. Nothing is started.

VLC takes the module of the highest priority that it has: live555, where it was built with it, else SAT>IP, which is
always built. Debian builds without live555 since 3.0.12-2 (its bug 981439).
"""

import contextlib
import ctypes.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LIVE555, SAT_IP = "liblive555_plugin", "libsatip_plugin"

_PLACES = (
    "/usr/lib/*/vlc/plugins",
    "/usr/lib/vlc/plugins",
    "/usr/lib64/vlc/plugins",
    "/usr/local/lib/vlc/plugins",
    "/usr/local/lib/*/vlc/plugins",
    "/snap/vlc/current/usr/lib/vlc/plugins",
    "/snap/vlc/current/usr/lib/*/vlc/plugins",
    "/var/lib/flatpak/app/org.videolan.VLC/current/active/files/lib/vlc/plugins",
    "/Applications/VLC.app/Contents/MacOS/plugins",
    "C:/Program Files/VideoLAN/VLC/plugins",
)
"""Folders of plugins: of distributions, snap, Flatpak, macOS and Windows. A person may have several."""

MOST_FILES = 5000
"""Files that are looked at in one folder; VLC has some 400."""


class VlcModules(NamedTuple):
    """What was found. *folders*: where there are plugins; none: no VLC was found."""

    folders: tuple[str, ...] = ()
    has_live555: bool = False
    has_sat_ip: bool = False
    has_library: bool = False
    """Whether the linker knows libvlc, wherever its plugins are."""


def vlc_modules(places: tuple[str, ...] = _PLACES) -> VlcModules:
    """Return which modules for RTSP there are in *places* and in the folder that VLC_PLUGIN_PATH names."""
    found: dict[str, set[str]] = {}
    for folder in _folders(places):
        names = {name for name in (LIVE555, SAT_IP) if any(_holds(each, name) for each in (folder, folder / "access"))}
        if names or (folder / "access").is_dir():
            found[str(folder)] = names
    names = set[str]().union(*found.values())
    has_library = ctypes.util.find_library("vlc") is not None
    return VlcModules(tuple(found), LIVE555 in names, SAT_IP in names, has_library)


def _folders(places: tuple[str, ...]) -> Iterator[Path]:
    own = os.environ.get("VLC_PLUGIN_PATH")
    if own:
        yield from (Path(folder) for folder in own.split(os.pathsep) if folder)
    for place in places:
        root = Path(place).anchor or "."
        with contextlib.suppress(OSError, ValueError):
            yield from sorted(Path(root).glob(str(Path(place).relative_to(root))))


def _holds(folder: Path, name: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return any(entry.name.startswith(name) for entry, _ in zip(entries, range(MOST_FILES), strict=False))
    return False
