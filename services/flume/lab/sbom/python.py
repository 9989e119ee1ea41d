"""The Python packages of an image, from their metadata, with the libraries that their wheels bring. Pure."""

import email.parser
import posixpath
import re
from collections.abc import Iterator

from flume.lab.sbom.files import ImageFiles
from flume.lab.sbom.libraries import library
from flume.lab.sbom.part import Part

METADATA = re.compile(r"(.*)/[^/]+\.dist-info/METADATA")
_CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Apache Software License": "Apache-2.0",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
}
_LONGEST_NAME = 60


def packages(files: ImageFiles, folder: str) -> Iterator[Part]:
    """Yield the packages installed in *folder* of the image."""
    for path in files.paths():
        matched = METADATA.fullmatch(path)
        if matched and matched[1] == folder:
            metadata = email.parser.HeaderParser().parsestr(files.text(path) or "")
            name = metadata["Name"]
            brought = tuple(
                library(posixpath.basename(file), where=file)
                for file in files.paths()
                if file.startswith(f"{folder}/{name}.libs/")
            )
            yield Part(_normalized(name), metadata["Version"], "pypi", _licences(metadata), where=path, parts=brought)


def _normalized(name: str) -> str:
    """Return the name of a package as indexes and package URLs have it (PEP 503).

    >>> _normalized("Prometheus_Client")
    'prometheus-client'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _licences(metadata: "email.message.Message[str, str]") -> tuple[str, ...]:
    """Return the licence of the core metadata: the expression, else the classifiers, else a short text."""
    if metadata["License-Expression"]:
        return (metadata["License-Expression"],)
    classifiers = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier", []) if "License ::" in one]
    text = (metadata["License"] or "").strip()
    if text and len(text) <= _LONGEST_NAME and "\n" not in text:
        return (text,)
    return tuple(_CLASSIFIERS.get(one, one) for one in classifiers)
