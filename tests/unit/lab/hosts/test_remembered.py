"""The hosts of a lab are remembered while it is there: by a copy of their file, which may be moved meanwhile."""

from pathlib import Path

import pytest

from flume.errors import LabError, SettingsError
from flume.lab.hosts.remembered import forget, forget_labs, read_hosts, remember, remembered

HOSTS = """
[[host]]
name = "desk"
docker = "unix://run/desk.sock"
server = true

[[host]]
name = "rack"
docker = "tcp://rack:2376"
tls = "certificates"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "of-ann").mkdir()
    path = tmp_path / "of-ann" / "hosts.toml"
    path.write_text(HOSTS)
    return path


def test_a_relative_path_in_it_is_meant_beside_the_file_that_was_given(path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(path.parent)
    remember(tmp_path / "cache", "x", Path("hosts.toml"))
    monkeypatch.chdir(tmp_path)
    path.unlink()
    found = remembered(tmp_path / "cache", "x")
    assert found is not None
    assert found.path("certificates") == path.parent / "certificates"
    assert [host.name for host in found.hosts] == ["desk", "rack"]


def test_each_lab_has_its_own_and_is_forgotten_by_itself(path: Path, tmp_path: Path) -> None:
    assert remembered(tmp_path, "x") is None
    forget(tmp_path, "x")
    for lab in ("x", "y"):
        remember(tmp_path, lab, path)
    forget(tmp_path, "x")
    assert remembered(tmp_path, "x") is None
    assert remembered(tmp_path, "y") is not None


def test_what_cannot_be_read_is_one_line_with_its_path(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(
        SettingsError, match=rf"HOSTS='{path}' is not possible: a readable file of hosts .*docs/hosts.md"
    ):
        read_hosts(path)
    with pytest.raises(SettingsError, match="a readable file of hosts"):
        read_hosts(tmp_path / "nowhere.toml")
    kept = tmp_path / "hosts" / "x.toml"
    kept.parent.mkdir()
    kept.write_bytes(b"\xff\xfe")
    with pytest.raises(LabError, match=rf"^{kept}, which names the hosts of lab 'x', cannot be read: "):
        remembered(tmp_path, "x")
    kept.unlink()
    kept.mkdir()
    with pytest.raises(LabError, match=rf"^{kept}, which names the hosts of lab 'x', cannot be read: "):
        remembered(tmp_path, "x")


def test_a_cache_that_cannot_be_written_is_one_line(path: Path, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("in the way")
    with pytest.raises(LabError, match=r"the hosts of lab 'x' cannot be remembered in .*/hosts/x.toml: "):
        remember(tmp_path, "x", path)


def test_the_labs_of_some_hosts_are_forgotten_and_those_of_others_not(tmp_path: Path) -> None:
    def file(name: str, *hosts: str) -> Path:
        path = tmp_path / name
        entries = (f'[[host]]\nname = "h{number}"\ndocker = "{host}"\n' for number, host in enumerate(hosts))
        path.write_text("".join(entries) + "server = true\n")
        return path

    both = file("both.toml", "ssh://a.example", "ssh://b.example")
    remember(tmp_path, "one", file("one.toml", "ssh://a.example"))
    remember(tmp_path, "other", file("other.toml", "ssh://a.example", "ssh://c.example"))
    (tmp_path / "hosts" / "damaged.toml").write_text("# hosts of a lab, from: x\n[[")
    forget_labs(tmp_path, read_hosts(both))
    assert remembered(tmp_path, "one") is None
    assert remembered(tmp_path, "other") is not None
    assert (tmp_path / "hosts" / "damaged.toml").exists()
