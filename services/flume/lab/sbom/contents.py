"""What is in one image of an engine."""

from collections.abc import Callable
from typing import IO

from flume.lab.sbom import debian, python
from flume.lab.sbom.files import ImageFiles
from flume.lab.sbom.part import Part

PACKAGES = "/opt/flume"
"""Where the images have their Python packages."""

BUILT_FROM = "/opt/flume/built-from"
"""The record of Debian packages of which files were copied into the image of the wire, in dpkg's places below it."""

_FOLDERS = ("/var/lib/dpkg", "/usr/share/doc", PACKAGES)
_ENDINGS = ("/status", "/copyright", ".dist-info/METADATA")


def contents(read: Callable[[str], IO[bytes]]) -> list[Part]:
    """Return the parts of an image; *read* returns the tar archive of one of its folders.

    A part that two records name, the image's own and that of what was copied into it, is listed once.
    """
    files = ImageFiles(lambda path: path.endswith(_ENDINGS))
    for folder in _FOLDERS:
        with read(folder) as archive:
            files.add(archive, folder)
    found: dict[tuple[str, ...], Part] = {}
    for part in (*debian.packages(files), *debian.packages(files, BUILT_FROM), *python.packages(files, PACKAGES)):
        found.setdefault((part.kind, part.name, part.version, part.architecture), part)
    return list(found.values())
