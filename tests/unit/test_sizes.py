"""Every part of the code can be read in one sitting: no long module, class or function.

A part that must be longer says why in a comment ``# long:`` on its first line, and is left out here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

MAX_MODULE_LINES, MAX_CLASS_LINES, MAX_FUNCTION_LINES = 400, 250, 60
FOLDERS = ("services", "tests", "examples")


def modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def too_long(source: str) -> Iterator[str]:
    """Yield the parts of a module's *source* that are above their limit."""
    lines = source.splitlines()
    if len(lines) > MAX_MODULE_LINES and "# long:" not in lines[0]:
        yield f"the module has {len(lines)} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            most = MAX_CLASS_LINES
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            most = MAX_FUNCTION_LINES
        else:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > most and "# long:" not in lines[node.lineno - 1]:
            yield f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_and_its_parts_are_short(path: Path) -> None:
    assert list(too_long(path.read_text())) == []


def test_a_part_that_is_too_long_is_found() -> None:
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    assert list(too_long(f"def f():\n{body}")) == [f"f has {MAX_FUNCTION_LINES + 1} lines"]
    assert list(too_long(f"def f():  # long: a table\n{body}")) == []
    assert list(too_long("x = 1\n" * (MAX_MODULE_LINES + 1))) == [f"the module has {MAX_MODULE_LINES + 1} lines"]
    assert list(too_long("class C:\n" + "    x = 1\n" * MAX_CLASS_LINES)) == [f"C has {MAX_CLASS_LINES + 1} lines"]
