"""The file of users, its hashes, and ``flume users``."""

import base64
import errno
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from flume.errors import SettingsError
from flume.private_files import check_private
from flume.server.access.hashing import make_hash, matches, parse_hash
from flume.server.access.users_file import changing, read_users
from flume.server.users import users

SECRET = "correct horse battery"


def run(*arguments: object, secret: str | None = None) -> "tuple[int, str, Exception | None]":
    result = CliRunner().invoke(users, [str(argument) for argument in arguments], input=secret and secret + "\n")
    error = result.exception if isinstance(result.exception, SettingsError) else None
    return result.exit_code, result.output, error


def test_a_hash_matches_its_secret_alone_and_has_a_salt_of_its_own():
    one, other = make_hash(SECRET), make_hash(SECRET)
    assert one != other
    assert matches(SECRET, parse_hash(one))
    assert not matches(SECRET + "x", parse_hash(one))
    assert SECRET not in one
    assert base64.b64encode(SECRET.encode()).decode().rstrip("=") not in one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "$scrypt$ln=14,r=8,p=5$c2FsdHNhbHQ$",
        "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$scrypt$ln=14,r=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    ],
)
def test_what_is_no_hash_or_would_take_too_much_memory_is_refused(text):
    with pytest.raises(ValueError, match=r"hash|range"):
        parse_hash(text)


def test_users_are_added_changed_listed_and_removed(tmp_path: Path):
    path = tmp_path / "users"
    assert run("add", path, "ann", secret=SECRET) == (0, "ann was added\n", None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = read_users(path)["ann"]
    assert run("add", path, "ben", secret=SECRET)[0] == 0
    assert run("add", path, "ann", secret="another secret") == (0, "ann has another secret\n", None)
    assert read_users(path)["ann"] != first
    assert run("list", path) == (0, "ben\nann\n", None)
    assert run("remove", path, "ben") == (0, "ben was removed\n", None)
    assert list(read_users(path)) == ["ann"]
    assert SECRET not in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["users"], "no file is left beside it"


def test_a_generated_secret_is_printed_once_and_works(tmp_path: Path):
    path = tmp_path / "users"
    code, output, _ = run("add", path, "ann", "--generate")
    assert code == 0
    secret = output.splitlines()[-1]
    assert len(secret) == 16
    assert matches(secret, read_users(path)["ann"])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-x", "x" * 65, "ä", "a\nb"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name):
    assert isinstance(run("add", tmp_path / "users", "--", name, secret=SECRET)[2], SettingsError)


def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path):
    _, output, error = run("add", tmp_path / "users", "ann", secret="hunter2")
    assert "8 to 256" in str(error)
    assert "hunter2" not in f"{output}{error}"


def test_no_command_takes_a_secret_as_an_argument():
    for command in users.commands.values():
        assert {parameter.name for parameter in command.params} <= {"path", "name", "generate"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_file_that_others_may_read_or_change_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode):
    path = tmp_path / "users"
    run("add", path, "ann", secret=SECRET)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=rf"mode is {mode:03o}: chmod 600 {path}"):
        read_users(path)
    with pytest.raises(SettingsError, match="chmod 600"), changing(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == mode, "it is left as it was"


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path: Path, kind):
    path = tmp_path / "users"
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    with pytest.raises(SettingsError):
        read_users(path)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch):
    path = tmp_path / "users"
    path.touch(mode=0o600)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # what root owns, others may use
        check_private(path, key="users")
        os.chown(path, 12345, -1)
    with pytest.raises(SettingsError, match="belongs to user"):
        check_private(path, key="users")


def test_root_may_share_a_key_with_a_group_but_nobody_else_may(tmp_path: Path):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.chmod(0o640)
    if os.geteuid() == 0:
        check_private(path, key="tls_key", root_may_share=True)
        path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        check_private(path, key="tls_key", root_may_share=True)


@pytest.mark.parametrize("line", ["ann", "ann:secret123", ":$scrypt$ln=14,r=8,p=5$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"])
def test_a_line_that_is_wrong_is_named_by_its_number_and_not_shown(tmp_path: Path, line):
    path = tmp_path / "users"
    path.touch(mode=0o600)
    path.write_text(f"# users\n\n{line}\n")
    with pytest.raises(SettingsError, match="line 3") as raised:
        read_users(path)
    assert "secret123" not in str(raised.value)
    assert "c2FsdHNhbHQ" not in str(raised.value)


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path):
    path = tmp_path / "users"
    run("add", path, "ann", secret=SECRET)
    before = path.read_text()

    def fail() -> None:
        with changing(path) as lines:
            lines.clear()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == before


def test_on_a_full_disk_the_file_stays_as_it_was_and_one_line_says_so(tmp_path: Path, monkeypatch):
    path = tmp_path / "users"
    run("add", path, "ann", secret=SECRET)
    before = path.read_bytes()

    def fsync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    _, _, error = run("add", path, "ben", secret=SECRET)
    said = f"users='{path}' is not possible: a file that can be written (No space left on device); it is as it was"
    assert str(error) == said
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["users"]
