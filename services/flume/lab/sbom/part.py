"""A part of an image: a package or a library, with its version and its licences. Pure."""

import re

import msgspec

_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-?v?(\d)(?:\.(\d))?(?:\.0)?(\+?)", re.IGNORECASE)
_SPDX = {
    "expat": "MIT",
    "bsd": "BSD-3-Clause",
    "bsd-2": "BSD-2-Clause",
    "bsd-3": "BSD-3-Clause",
    "bsd-4": "BSD-4-Clause",
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "cc0": "CC0-1.0",
    "mpl-2": "MPL-2.0",
    "zlib/libpng": "Zlib",
}
"""Debian's short name → that of SPDX, where they differ."""


class Part(msgspec.Struct, frozen=True):
    """One part. *licences* all apply; each is an SPDX identifier or, where there is none, the name that was found."""

    name: str
    version: str
    kind: str
    """As in a package URL: ``deb``, ``pypi``, ``generic``."""
    licences: tuple[str, ...] = ()
    text: str = ""
    """The text of the licences, where none is named in a way that a program can read."""
    source: str = ""
    """The source package, where it has another name or version."""
    architecture: str = ""
    where: str = ""
    """The file that says it, or is it."""
    parts: tuple["Part", ...] = ()


def spdx_name(name: str) -> str:
    """Return SPDX's name of the licence that Debian calls *name*; another name as it is.

    >>> [spdx_name(name) for name in ("GPL-2+", "LGPL-2.1", "Expat", "GPL-2+ with OpenSSL exception")]
    ['GPL-2.0-or-later', 'LGPL-2.1-only', 'MIT', 'GPL-2+ with OpenSSL exception']
    """
    gnu = _GNU.fullmatch(name)
    if gnu:
        return f"{gnu[1].upper()}-{gnu[2]}.{gnu[3] or 0}-{'or-later' if gnu[4] else 'only'}"
    return _SPDX.get(name.lower(), name)
