"""The Debian packages of an image, from dpkg's own record, with the licences of their copyright files. Pure."""

import re
from collections.abc import Iterator

from flume.lab.sbom.files import ImageFiles
from flume.lab.sbom.part import Part, spdx_name

STATUS = "var/lib/dpkg/status"
COPYRIGHT = "usr/share/doc/{}/copyright"

_MACHINE_READABLE = re.compile(r"^Format:\s*\S*copyright-format", re.MULTILINE | re.IGNORECASE)
_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z][\w.+-]*\w)")
_LONGEST_NAME = 100
"""Of a licence: what is longer is its text."""


def packages(files: ImageFiles, root: str = "/") -> Iterator[Part]:
    """Yield the packages that dpkg's record below *root* calls installed."""
    status = f"{root.rstrip('/')}/{STATUS}"
    for stanza in (files.text(status) or "").split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): *(.*)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name = fields["Package"]
            path = f"{root.rstrip('/')}/{COPYRIGHT.format(name)}"
            text = files.text(path) or ""
            found = licences(text)
            yield Part(
                name,
                fields["Version"],
                "deb",
                found,
                text="" if found else text,
                source=fields.get("Source", ""),
                architecture=fields["Architecture"],
                where=path,
            )


def licences(text: str) -> tuple[str, ...]:
    """Return the licences that the copyright file *text* names, each once, in its order.

    A file in Debian's machine-readable format names them in its fields; of another one, only the licences are known to
    whose full text it refers.
    """
    if _MACHINE_READABLE.search(text):
        found = [spdx_name(name.strip()) for name in re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)]
    else:
        found = [f"{name} (as Debian's common licence)" for name in _COMMON.findall(text)]
    return tuple(dict.fromkeys(name for name in found if len(name) <= _LONGEST_NAME))
