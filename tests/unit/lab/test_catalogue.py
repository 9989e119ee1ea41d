"""A person chooses a file by its name in a folder or by its path."""

from pathlib import Path

import pytest

from flume.errors import SettingsError
from flume.lab import catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, and a third that is no TOML file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.toml", "a.toml", "README.md"):
        (folder / name).write_text(f"# {name}\n")
    return folder


def test_names_are_those_of_the_toml_files_in_order(folder: Path) -> None:
    """Without their suffix."""
    assert catalogue.names(folder) == ["a", "b"]


def test_a_name_is_looked_up_in_the_folder(folder: Path) -> None:
    """Even where the working directory holds something of the same name."""
    assert catalogue.read(folder, "b", key="K") == ("b", folder / "b.toml", "# b.toml\n")


def test_a_path_is_read_as_it_is(folder: Path, tmp_path: Path) -> None:
    """Its name is that of the file."""
    path = tmp_path / "home.toml"
    path.write_text("x = 1\n")
    assert catalogue.read(folder, str(path), key="K") == ("home", path, "x = 1\n")


@pytest.mark.parametrize("name", ["c", "README", "", "../folder/a"])
def test_an_unknown_name_lists_the_known_ones(folder: Path, name: str) -> None:
    """With the caller's own names before them; a name leads to no other folder."""
    with pytest.raises(SettingsError, match=r"^K='.*' is .*: one of open, a, b, or the path of a \.toml file$"):
        catalogue.read(folder, name, key="K", also=["open"])


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_named_with_the_reason(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    """Absent, or not UTF-8."""
    path = tmp_path / "odd.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"odd\.toml' is not possible: a readable TOML file \(.+\)"):
        catalogue.read(folder, str(path), key="K")
