"""The versions of other packages, which stand in three files, agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(path: Path) -> dict[str, str]:
    """Return the version of each package that the file at *path* pins."""
    found = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    listed = [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]
    return [each for each in listed if each.name != "flumelab"]


def test_each_requirement_is_a_range_that_holds_the_version_the_tests_run_with():
    pinned = pins(ROOT / "constraints.txt")
    for each in requirements():
        assert {part.operator for part in each.specifier} == {">=", "<"}, each
        assert each.specifier.contains(pinned[canonicalize_name(each.name)]), each


def test_the_images_run_the_versions_that_the_tests_run_with():
    pinned, installed = pins(ROOT / "constraints.txt"), pins(ROOT / "compose" / "images" / "requirements.lock")
    assert {"click", "msgspec", "python-vlc", "rich"} <= set(installed)
    assert {name: pinned[name] for name in installed} == installed
