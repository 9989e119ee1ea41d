"""The programs of the probe import only what Debian's python3-minimal has."""

import ast
import sys

from support.paths import SERVICES

MINIMAL = frozenset(
    {"array", "ast", "base64", "collections", "contextlib", "errno", "os", "re", "signal", "socket", "struct"}
    | {"subprocess", "sys", "time", "typing", "zlib"}
)
"""Of the module list of libpython3.11-minimal (and modules built into the interpreter): those that are used, and
were seen to import in the image. It lacks among others ctypes, dataclasses and json."""


def test_nothing_is_imported_that_the_image_lacks() -> None:
    """A module more here has to be tried in the image first."""
    imported = set()
    for path in (SERVICES / "probe").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported - {"probe"} <= MINIMAL
    assert sys.stdlib_module_names >= MINIMAL
