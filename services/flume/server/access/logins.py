"""Logins: whether a name and a secret belong together. Runs on the event loop; hashing runs beside it."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from flume.errors import SettingsError
from flume.server.access.hashing import Hash, make_hash, matches, parse_hash
from flume.server.access.users_file import read_users
from flume.server.limits.admission import host_of
from flume.server.limits.buckets import AddressBuckets, Rate

THREADS = 2
MOST_WAITING = 32
"""Secrets that wait to be hashed, 0.2 s each; further ones are refused."""

FAILURES = Rate(per_s=1 / 6, burst=10)
"""Failed logins of one address, or of one /64 of IPv6: ten, then one every six seconds."""

CHECK_S = 1.0
"""How often the file is looked at."""

_log = logging.getLogger(__name__)


class Grant(NamedTuple):
    """A login that was granted, and what it rests on."""

    user: str
    hash: Hash


class LoginRefusedError(Exception):
    """A login that was not granted: *code* for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.code = code


class Logins:
    """The users of one server.

    A secret that was right is remembered as a keyed hash, in memory alone: so clients that come back after a restart
    of their network do not wait for one another, 0.25 s each. A wrong one always takes the full time, whether the
    name is known or not.
    """

    def __init__(self, path: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the users in *path*; raises :class:`SettingsError`."""
        self._path, self._clock = Path(path), clock
        self._users: Mapping[str, Hash] = read_users(self._path)
        self._stamp, self._checked_s = self._read_stamp(), clock()
        self._key = secrets.token_bytes(32)
        self._proved: dict[str, tuple[Hash, bytes]] = {}
        self._unknown = parse_hash(make_hash(secrets.token_hex()))
        """What is compared with for a name that does not exist."""
        self._failures = AddressBuckets(FAILURES)
        self._waiting = 0
        self.on_changed: Callable[[], None] = lambda: None
        """Called when other users than before may log in, or with other secrets: ask :meth:`holds` again."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="flume-login", initializer=_give_way)

    async def check(self, user: str, secret: str, address: str) -> Grant:
        """Return the grant if *secret* is that of *user*; raises :class:`LoginRefusedError` for a client of *address*.

        Its codes: ``login_failed``, ``login_limited`` (too many failures of this address) and ``login_busy``.
        """
        self.refresh()
        where = host_of(address)
        wait_s = self._failures.of(where, self._clock()).wait_s(self._clock())
        if wait_s > 0:
            raise LoginRefusedError("login_limited", f"too many logins failed from here: try again in {wait_s:.0f} s")
        known = self._users.get(user)
        seal = hmac.digest(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
        proved = self._proved.get(user)
        if proved is not None and proved[0] == known and hmac.compare_digest(proved[1], seal):
            return Grant(user, proved[0])
        is_right = await self._hash(secret, self._unknown if known is None else known)
        if not is_right or known is None or self._users.get(user) != known:  # it may have been removed meanwhile
            now_s = self._clock()
            self._failures.of(where, now_s).reserve(now_s)
            raise LoginRefusedError("login_failed", "no user of this name has this secret")
        self._proved[user] = (known, seal)
        return Grant(user, known)

    def holds(self, grant: Grant) -> bool:
        """Whether the user of *grant* is still there, with the same secret."""
        return self._users.get(grant.user) == grant.hash

    async def _hash(self, secret: str, known: Hash) -> bool:
        if self._waiting >= MOST_WAITING:
            raise LoginRefusedError("login_busy", "too many logins at once: try again in a few seconds")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, matches, secret, known)
        except RuntimeError:  # the pool is closed
            raise LoginRefusedError("login_busy", "the server is shutting down") from None
        finally:
            self._waiting -= 1

    def refresh(self) -> None:
        """Read the file again if it has changed, and report that.

        The file is looked at once in :data:`CHECK_S`. One that cannot be used is logged, and the users before stay.
        """
        now_s = self._clock()
        if now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        stamp = self._read_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._users = read_users(self._path)
            except SettingsError as error:
                _log.warning("the users as they were before stay: %s", error)
            else:
                self._proved = {name: proof for name, proof in self._proved.items() if name in self._users}
                _log.info("%s was read again: %d users", self._path, len(self._users))
                self.on_changed()

    def _read_stamp(self) -> tuple[int, ...]:
        with contextlib.suppress(OSError):
            seen = self._path.stat()
            return (seen.st_ino, seen.st_mtime_ns, seen.st_size, seen.st_mode, seen.st_uid)
        return ()

    def close(self) -> None:
        """Hash no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """Let the thread that sends go first: hashing takes a whole CPU."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
