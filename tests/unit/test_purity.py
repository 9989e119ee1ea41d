"""Every module that says "Pure" in its first lines is held to it by the contract in pyproject.toml."""

import ast
import tomllib

import pytest

from support.paths import ROOT, SERVICES

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
(PURE,) = [contract for contract in CONTRACTS if contract["name"].startswith("A pure folder")]


def modules_that_say_pure() -> list[str]:
    paths = sorted((SERVICES / "flume").rglob("*.py"))
    texts = {path: ast.get_docstring(ast.parse(path.read_text())) or "" for path in paths}
    names = [
        ".".join(path.relative_to(SERVICES).with_suffix("").parts) for path, text in texts.items() if "Pure" in text
    ]
    return [name.removesuffix(".__init__") for name in names]


def test_many_modules_say_so() -> None:
    assert len(modules_that_say_pure()) > 40


@pytest.mark.parametrize("name", modules_that_say_pure())
def test_a_module_that_says_pure_is_in_the_contract(name: str) -> None:
    sources = PURE["source_modules"]
    assert any(name == source or name.startswith(f"{source}.") for source in sources), "add it to the contract"
    assert not any(entry.startswith(f"{name} ->") for entry in PURE["ignore_imports"]), "it is an exception there"
