"""`make sbom` on the images that are built: the lists are CycloneDX, and nothing in the images is missing from them."""

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from flume.lab.cli import lab
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from support.paths import ROOT

pytestmark = pytest.mark.docker

LISTS = ROOT / "artifacts" / "sbom"
"""Kept: the lists of the images that these tests ran with."""


@pytest.fixture(scope="module")
def lists(engine: Engine) -> dict[str, Any]:
    """The list of each image, by its target."""
    done = CliRunner().invoke(lab, ["sbom", "--output", str(LISTS)])
    assert done.exit_code == 0, done.output
    return {path.name.partition(".")[0]: json.loads(path.read_text()) for path in LISTS.glob("*.cdx.json")}


def names(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in document["components"] if one.get("purl", "").startswith(f"pkg:{kind}/")}


def test_the_list_of_each_image_is_valid_and_complete(engine: Engine, lists: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert set(images.TARGETS) <= set(lists)
    for target, document in lists.items():
        assert validator.validate_str(json.dumps(document)) is None
        parts = [part for one in document["components"] for part in (one, *one.get("components", ()))]
        assert [part["name"] for part in parts if not part.get("version")] == [], target
        assert {part["name"] for part in parts if not part.get("licenses")} == set(), target
    assert {"libc6", "libvlc5", "vlc-plugin-base", "python3"} <= set(names(lists["client"], "deb"))
    assert {"iproute2", "tcpdump"} <= set(names(lists["probe"], "deb"))


def test_what_no_package_manager_of_the_image_knows_is_listed_too(lists: dict[str, Any]) -> None:
    """FFmpeg in PyAV's wheel; the wire's kernel and its programs, from other stages of its build."""
    packages = names(lists["server"], "pypi")
    assert {"av", "click", "msgspec", "python-vlc"} <= set(packages)
    libraries = {one["name"] for one in packages["av"]["components"]}
    assert {"libavcodec", "libavformat", "libx264"} <= libraries
    if "wire" in lists:
        assert {"user-mode-linux", "busybox-static", "iproute2"} <= set(names(lists["wire"], "deb"))


def test_the_python_packages_are_those_of_the_lock(lists: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "images.lock").read_text()
    pinned = {(name.lower(), version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}
    found = {(one["name"].lower(), one["version"]) for one in names(lists["server"], "pypi").values()}
    assert found == pinned
    assert names(lists["client"], "pypi").keys() == names(lists["server"], "pypi").keys() - {"av"}
