"""The list of what is in an image: each part is found with its version and licences, and the document is CycloneDX."""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from typing import IO

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from flume.lab.sbom import debian
from flume.lab.sbom.contents import contents
from flume.lab.sbom.document import document
from flume.lab.sbom.files import ImageFiles
from flume.lab.sbom.part import Part

STATUS = """Package: libone1
Status: install ok installed
Architecture: amd64
Source: one (1.0-2)
Version: 1:1.0-2+b1
Description: a library
 with: a colon in its text

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: two-data
Status: install ok installed
Architecture: all
Version: 2.0
"""
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+

Files: x
License: Expat

License: GPL-2+
 The text, in which the line
 License: none of these
"""
METADATA = "Metadata-Version: 2.4\nName: av\nVersion: 18.1.0\nLicense-Expression: BSD-3-Clause\n\nLicense: no header\n"
IMAGE = {
    "/var/lib/dpkg/status": STATUS,
    "/usr/share/doc/libone1/copyright": COPYRIGHT,
    "/usr/share/doc/two-data": "-> libone1",
    "/opt/flume/av-18.1.0.dist-info/METADATA": METADATA,
    "/opt/flume/av.libs/libx264-d6533a8d.so.165": "ELF",
    "/opt/flume/built-from/var/lib/dpkg/status": STATUS.replace("two-data", "linux-uml").partition("\n\n")[2]
    + "\n"
    + STATUS,
    "/opt/flume/built-from/usr/share/doc/linux-uml/copyright": "see /usr/share/common-licenses/GPL-2.\n",
}


def reader(image: Mapping[str, str]):
    """Return what an engine's image offers: the tar archive of a folder."""

    def read(folder: str) -> IO[bytes]:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            for path, text in image.items():
                if path.startswith(f"{folder}/"):
                    info = tarfile.TarInfo(path.removeprefix(folder.rpartition("/")[0] + "/"))
                    if text.startswith("-> "):
                        info.type, info.linkname = tarfile.SYMTYPE, text[3:]
                        tar.addfile(info)
                    else:
                        info.size = len(text.encode())
                        tar.addfile(info, io.BytesIO(text.encode()))
        file.seek(0)
        return file

    return read


@pytest.fixture
def parts() -> dict[str, Part]:
    return {part.name: part for part in contents(reader(IMAGE))}


def test_each_installed_package_is_found_with_its_version_and_licences(parts: dict[str, Part]):
    assert set(parts) == {"libone1", "two-data", "linux-uml", "av"}
    library = parts["libone1"]
    assert (library.version, library.source, library.architecture) == ("1:1.0-2+b1", "one (1.0-2)", "amd64")
    assert library.licences == ("GPL-2.0-or-later", "MIT")
    assert parts["two-data"].licences == library.licences, "its folder of documents is a link"


def test_what_was_copied_into_the_image_is_found_by_the_record_beside_it(parts: dict[str, Part]):
    assert parts["linux-uml"].licences == ("GPL-2 (as Debian's common licence)",)
    assert parts["linux-uml"].version == "2.0"


def test_a_python_package_has_the_libraries_that_its_wheel_brings(parts: dict[str, Part]):
    package = parts["av"]
    assert (package.version, package.licences) == ("18.1.0", ("BSD-3-Clause",))
    [codec] = package.parts
    assert (codec.name, codec.version, codec.licences) == ("libx264", "165", ("GPL-2.0-or-later",))


def test_the_document_is_valid_and_the_same_image_gives_the_same_components(parts: dict[str, Part]):
    text = document("flumelab/server", "sha256:01", parts.values())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    seen = json.loads(text)
    found = {one["name"]: one for one in seen["components"]}
    assert found["libone1"]["purl"] == "pkg:deb/debian/libone1@1:1.0-2%2Bb1?arch=amd64"
    assert [one["license"] for one in found["libone1"]["licenses"]] == [{"id": "GPL-2.0-or-later"}, {"id": "MIT"}]
    assert found["av"]["components"][0]["name"] == "libx264"
    again = json.loads(document("flumelab/server", "sha256:01", reversed(parts.values())))
    assert again["components"] == seen["components"]
    assert again["serialNumber"] == seen["serialNumber"]


def test_a_licence_in_prose_is_given_as_its_text():
    """As of X11's libraries: a short permission in each author's words."""
    image = {"/var/lib/dpkg/status": STATUS, "/usr/share/doc/libone1/copyright": "Permission is granted to all.\n"}
    seen = json.loads(document("flumelab/server", "sha256:01", contents(reader(image))))
    found = {one["name"]: one for one in seen["components"]}
    [licence] = found["libone1"]["licenses"]
    assert licence["license"]["text"]["content"] == "Permission is granted to all.\n"
    assert "licenses" not in found["two-data"]


@pytest.mark.parametrize(
    ("text", "licences"),
    [
        ("", ()),
        ("Copyright 2020 Ann. All rights reserved.", ()),
        ("See /usr/share/common-licenses/LGPL-2.1, and /usr/share/common-licenses/LGPL-2.1.", 1),
        (COPYRIGHT.replace("Expat", "x" * 200), ("GPL-2.0-or-later",)),
    ],
    ids=["none", "prose", "referred to twice", "a text in the place of a name"],
)
def test_licences_are_those_that_a_copyright_file_names(text: str, licences: object):
    found = debian.licences(text)
    assert (len(found) if isinstance(licences, int) else found) == licences


def test_links_in_a_circle_lead_nowhere():
    files = ImageFiles(lambda _path: True)
    files.add(reader({"/usr/a": "-> b", "/usr/b": "-> a", "/usr/c": "text"})("/usr"), "/usr")
    assert (files.text("/usr/a"), files.text("/usr/a/x"), files.text("/usr/c")) == (None, None, "text")


def test_the_documents_name_says_which_image_it_is_of(parts: dict[str, Part]):
    seen = json.loads(document("flumelab/server", "sha256:01", parts.values()))
    about = seen["metadata"]["component"]
    assert (about["name"], about["type"]) == ("flumelab/server", "container")
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"])
