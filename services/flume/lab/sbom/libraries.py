"""The libraries inside a wheel, which no package manager knows: PyAV brings FFmpeg and what FFmpeg uses. Pure."""

import re

from flume.lab.sbom.part import Part

_GPL_3 = "GPL-3.0-or-later"
_GNU_CRYPTO = "LGPL-3.0-or-later OR GPL-2.0-or-later"
LICENCES = {
    "libSvtAv1Enc": "BSD-3-Clause-Clear",
    "libXau": "MIT-open-group",
    "libasound": "LGPL-2.1-or-later",
    # FFmpeg, which is under the GPL when x264 is linked to it, and version 3 of it with the codecs from OpenCORE.
    "libavcodec": _GPL_3,
    "libavdevice": _GPL_3,
    "libavfilter": _GPL_3,
    "libavformat": _GPL_3,
    "libavutil": _GPL_3,
    "libswresample": _GPL_3,
    "libswscale": _GPL_3,
    "libdav1d": "BSD-2-Clause",
    "libdrm": "MIT",
    "libgmp": _GNU_CRYPTO,
    "libgnutls": "LGPL-2.1-or-later",
    "libhogweed": _GNU_CRYPTO,
    "libmp3lame": "LGPL-2.0-or-later",
    "libnettle": _GNU_CRYPTO,
    "libopencore-amrnb": "Apache-2.0",
    "libopencore-amrwb": "Apache-2.0",
    "libopus": "BSD-3-Clause",
    "libsharpyuv": "BSD-3-Clause",
    "libunistring": _GNU_CRYPTO,
    "libvpl": "MIT",
    "libvpx": "BSD-3-Clause",
    "libwebp": "BSD-3-Clause",
    "libwebpmux": "BSD-3-Clause",
    "libx264": "GPL-2.0-or-later",
    "libx265": "GPL-2.0-or-later",
    "libxcb": "MIT",
    "libxcb-shape": "MIT",
    "libxcb-shm": "MIT",
    "libxcb-xfixes": "MIT",
}
"""Library → its licence. A library that is not here is listed without one, and a test names it."""

_NAME = re.compile(r"(.+?)-[0-9a-f]{8}\.so(?:\.(.*))?")
"""auditwheel writes a hash into the name of each library that it puts into a wheel."""


def library(file: str, *, where: str) -> Part:
    """Return the library in the file called *file*. Its version is that of its interface, as the name has it.

    >>> library("libx264-d6533a8d.so.165", where="").version
    '165'
    """
    matched = _NAME.fullmatch(file)
    name, version = (matched[1], matched[2] or "") if matched else (file, "")
    known = LICENCES.get(name)
    return Part(name, version, "generic", (known,) if known else (), where=where)
