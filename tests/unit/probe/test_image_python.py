"""The programs of probe and wire import only what Debian's python3-minimal has."""

import ast
import sys

import pytest

from support.paths import SERVICES

MINIMAL = frozenset(
    {
        "array",
        "ast",
        "base64",
        "collections",
        "contextlib",
        "errno",
        "fcntl",
        "os",
        "re",
        "select",
        "signal",
        "socket",
        "struct",
    }
    | {"subprocess", "sys", "threading", "time", "typing", "zlib"}
)
"""Of the module list of libpython3.11-minimal (and modules built into the interpreter): those that are used, and
were seen to import in the image. It lacks among others ctypes, dataclasses and json."""


@pytest.mark.parametrize("package", ["probe", "wire"])
def test_nothing_is_imported_that_the_image_lacks(package: str) -> None:
    """A module more here has to be tried in the image first."""
    imported = set()
    for path in (SERVICES / package).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported - {package} <= MINIMAL
    assert sys.stdlib_module_names >= MINIMAL
