"""Logins: what is granted, what is refused, and how long each takes."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.server.access import logins as module
from flume.server.access.hashing import Hash, make_hash, matches
from flume.server.access.logins import FAILURES, MOST_WAITING, LoginRefusedError, Logins

SECRET = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.touch(mode=0o600)
    path.write_text(f"ann:{make_hash(SECRET)}\n")
    return path


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(path: Path, clock: Clock) -> Iterator[Logins]:
    made = Logins(str(path), clock=clock)
    yield made
    made.close()


async def outcome(logins: Logins, user: str = "ann", secret: str = SECRET, address: str = "192.0.2.1") -> str:
    try:
        await logins.check(user, secret, address)
    except LoginRefusedError as error:
        return error.code
    return "granted"


def test_the_right_secret_is_granted_and_all_else_is_refused_alike(logins: Logins):
    async def main() -> None:
        assert await outcome(logins) == "granted"
        for user, secret in (("ann", "wrong"), ("bob", SECRET), ("", ""), ("ANN", SECRET), ("ann", SECRET + "\0")):
            assert await outcome(logins, user, secret) == "login_failed"

    asyncio.run(main())


def test_an_unknown_name_is_hashed_as_a_wrong_secret_is_and_never_on_the_event_loop(logins: Logins, monkeypatch):
    hashed: list[tuple[int, int, int, int]] = []

    def watched(secret: str, known: Hash) -> bool:
        hashed.append((threading.get_ident(), known.log_n, known.r, known.p))
        return matches(secret, known)

    monkeypatch.setattr(module, "matches", watched)

    async def main() -> None:
        await outcome(logins, "ann", "wrong")
        await outcome(logins, "nobody", "wrong")

    asyncio.run(main())
    assert len(hashed) == 2
    assert hashed[0][1:] == hashed[1][1:], "with the same cost"
    assert threading.get_ident() not in {thread for thread, *_ in hashed}


def test_a_secret_that_was_right_is_not_hashed_again_and_a_wrong_one_always_is(logins: Logins, monkeypatch):
    count = 0

    def counted(secret: str, known: Hash) -> bool:
        nonlocal count
        count += 1
        return matches(secret, known)

    monkeypatch.setattr(module, "matches", counted)

    async def main() -> None:
        assert [await outcome(logins) for _ in range(20)] == ["granted"] * 20
        assert count == 1
        assert await outcome(logins, secret="wrong") == "login_failed"
        assert await outcome(logins, secret="wrong") == "login_failed"
        assert count == 3

    asyncio.run(main())


def test_failures_of_one_address_are_limited_and_others_are_not(logins: Logins, clock: Clock, monkeypatch):
    monkeypatch.setattr(module, "matches", lambda secret, _known: secret == SECRET)

    async def main() -> None:
        for _ in range(int(FAILURES.burst)):
            assert await outcome(logins, secret="wrong") == "login_failed"
        assert await outcome(logins, secret="wrong") == "login_limited"
        assert await outcome(logins) == "login_limited", "the right one as well, or guessing would go on"
        assert await outcome(logins, address="192.0.2.2") == "granted"
        clock.now_s += 1 / FAILURES.per_s
        assert await outcome(logins) == "granted"

    asyncio.run(main())


def test_the_addresses_of_one_ipv6_network_count_together(logins: Logins, monkeypatch):
    monkeypatch.setattr(module, "matches", lambda secret, _known: secret == SECRET)

    async def main() -> None:
        for number in range(int(FAILURES.burst)):
            assert await outcome(logins, secret="wrong", address=f"2001:db8::{number:x}") == "login_failed"
        assert await outcome(logins, address="2001:db8::ffff") == "login_limited"
        assert await outcome(logins, address="2001:db8:0:1::1") == "granted"

    asyncio.run(main())


def test_more_logins_than_may_wait_are_refused_at_once(logins: Logins, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(module, "matches", lambda _secret, _known: release.wait(20) and False)

    async def main() -> None:
        waiting = [
            asyncio.ensure_future(outcome(logins, address=f"192.0.2.{number}")) for number in range(MOST_WAITING)
        ]
        await asyncio.sleep(0)
        assert await outcome(logins, address="198.51.100.1") == "login_busy"
        release.set()
        assert set(await asyncio.gather(*waiting)) == {"login_failed"}

    asyncio.run(main())


def test_a_changed_file_is_read_again_and_one_that_cannot_be_used_changes_nothing(
    logins: Logins, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
):
    async def main() -> None:
        assert await outcome(logins) == "granted"
        path.write_text(f"# no ann\nben:{make_hash('another secret')}\n")
        clock.now_s += 2
        assert await outcome(logins) == "login_failed", "remembered, but removed"
        assert await outcome(logins, "ben", "another secret") == "granted"
        path.chmod(0o644)
        clock.now_s += 2
        assert await outcome(logins, "ben", "another secret") == "granted"
        path.unlink()
        clock.now_s += 2
        assert await outcome(logins, "ben", "another secret") == "granted"

    asyncio.run(main())
    assert "the users as they were before stay" in caplog.text
    assert "scrypt" not in caplog.text


def test_another_secret_of_the_same_user_replaces_the_one_before(logins: Logins, path: Path, clock: Clock):
    async def main() -> None:
        assert await outcome(logins) == "granted"
        path.write_text(f"ann:{make_hash('another secret')}\n")
        clock.now_s += 2
        assert await outcome(logins) == "login_failed"
        assert await outcome(logins, secret="another secret") == "granted"

    asyncio.run(main())


def test_a_server_of_ipv6_does_not_count_a_network_of_ipv4_as_one_address(logins: Logins):
    async def main() -> None:
        for _ in range(int(FAILURES.burst)):
            assert await outcome(logins, secret="wrong", address="::ffff:192.0.2.66") == "login_failed"
        assert await outcome(logins, address="::ffff:192.0.2.66") == "login_limited"
        assert await outcome(logins, address="::ffff:192.0.2.1") == "granted"

    asyncio.run(main())


def test_a_grant_holds_while_its_user_is_there_with_the_same_secret(path: Path, clock: Clock, logins: Logins):
    changes: list[int] = []
    logins.on_changed = lambda: changes.append(len(logins._users))

    async def main() -> None:
        first = await logins.check("ann", SECRET, "192.0.2.1")
        path.write_text(f"{path.read_text()}bob:{make_hash('another')}\n")
        logins.refresh()
        assert changes == [], "the file is looked at once a second"
        clock.now_s += module.CHECK_S
        logins.refresh()
        assert logins.holds(first)
        bob = await logins.check("bob", "another", "192.0.2.1")
        path.write_text(f"ann:{make_hash('a new secret')}\n")
        clock.now_s += module.CHECK_S
        logins.refresh()
        assert not logins.holds(first)
        assert not logins.holds(bob)
        again = await logins.check("ann", "a new secret", "192.0.2.1")
        path.write_text("half a line")
        clock.now_s += module.CHECK_S
        logins.refresh()
        assert logins.holds(again), "a file that cannot be used ends nothing"

    asyncio.run(main())
    assert changes == [2, 1]


def test_a_user_who_is_removed_while_the_secret_is_hashed_gets_nothing(
    path: Path, clock: Clock, logins: Logins, monkeypatch: pytest.MonkeyPatch
):
    hashing, may_end = threading.Event(), threading.Event()

    def slow(secret: str, known: Hash) -> bool:
        hashing.set()
        assert may_end.wait(20)
        return matches(secret, known)

    monkeypatch.setattr(module, "matches", slow)

    async def main() -> None:
        login = asyncio.create_task(outcome(logins))
        assert await asyncio.to_thread(hashing.wait, 20)
        path.write_text("")
        clock.now_s += module.CHECK_S
        logins.refresh()
        may_end.set()
        assert await login == "login_failed"

    asyncio.run(main())
