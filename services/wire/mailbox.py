"""The folder by which the wire's kernel gets tc commands: it can lose the wake-ups of other channels under load.

The kernel looks for the file ``N`` every few milliseconds (every 20 ms when it was not asked for a second) and runs it
as a shell script. One tc stays in there and reads its commands from a pipe, because starting one costs 60 ms::

    printf '%s' 'qdisc change dev vec0 root handle 1: netem limit 1000 delay 20ms
    request-17
    ' >&4

tc answers into the files ``output.K`` and ``errors.K``. To a command that does not exist, here ``request-17``, it
answers there with two lines, so it has dealt with all lines before. ``renew_tc K`` in a script starts another tc.
"""

import contextlib
import os
import re
import threading
import time

from wire.requests import WireError, one_line

COMMAND_S = 5.0
"""Longest time for one request, including the wait for the requests before it."""

MAX_TABLES = 400
"""How many lines with a table of a distribution one tc gets: Debian's tc 6.1 keeps 40 KB for each until it ends."""

MAX_OUTPUT_BYTES = 4 << 20
"""Size of an answer file at which another tc begins another file: the files are in memory."""

_POLL_S = 0.001


def script(lines: str, mark: str, *, renew: int | None) -> str:
    """Return the shell script that gives *lines* and then *mark* to tc; *renew* is the number of a new tc.

    >>> script("qdisc show\\n", "request-17", renew=None)
    "printf '%s' 'qdisc show\\nrequest-17\\n' >&4\\n"
    """
    text = f"{lines.rstrip()}\n{mark}\n".lstrip("\n").replace("'", "'\\''")
    start = "" if renew is None else f"renew_tc {renew}\n"
    return f"{start}printf '%s' '{text}' >&4\n"


def errors_before(mark: str, text: str) -> str | None:
    """Return tc's error messages before its answer to *mark*, in one line; ``None`` if that is not complete yet.

    >>> errors_before("request-3", 'Object "request-3" is unknown, try "tc help".\\nCommand failed -:7\\n')
    ''
    """
    answered = re.search(rf'^Object "{mark}" is unknown.*\n.*\n', text, re.MULTILINE)
    if answered is None:
        return None
    messages, failures = re.subn(r"^Command failed .*\n", "", text[: answered.start()], flags=re.MULTILINE)
    return one_line(messages) if failures else ""  # without a failure: warnings


class Mailbox:
    """The folder, and the tc behind it. Thread-safe."""

    def __init__(self, folder: str, *, deadline_s: float = COMMAND_S) -> None:
        """Make *folder*, which the kernel's user may write to."""
        self._folder = folder
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._requests = 0
        self._tc = 1
        self._must_renew = False
        self._tables = 0
        self._read = {"output": 0, "errors": 0}
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)  # noqa: S103 - in the container

    @property
    def is_open(self) -> bool:
        """Whether the kernel looks into it."""
        return os.path.exists(f"{self._folder}/ready")

    def tc(self, lines: str) -> str:
        """Run *lines* as ``tc -s -j -force -batch`` does and return the output; lines after a failure are run as well.

        Raises :class:`WireError` when a line fails, and when the answer does not come in time; then the lines may
        still be run later.
        """
        until_s = time.monotonic() + self._deadline_s
        if not self._lock.acquire(timeout=self._deadline_s):
            raise WireError(f"other requests to the wire took longer than {self._deadline_s:g} s")
        try:
            errors, output = self._exchange(lines, until_s)
        finally:
            self._lock.release()
        if errors:
            raise WireError(f"tc in the wire: {errors}")
        return output

    def _exchange(self, lines: str, until_s: float) -> tuple[str, str]:
        """Return tc's errors and its output."""
        self._requests += 1
        mark = f"request-{self._requests}"
        renew = self._number_of_new_tc(lines.count(" distribution "))
        with open(f"{self._folder}/new", "w") as file:
            file.write(script(lines, mark, renew=renew))
        os.rename(f"{self._folder}/new", f"{self._folder}/{self._requests}")
        self._must_renew = True  # should this request fail
        seen = ""
        while (errors := errors_before(mark, seen)) is None:
            if time.monotonic() > until_s:
                raise WireError(f"the kernel of the wire did not answer within {self._deadline_s:g} s")
            time.sleep(_POLL_S)
            seen += self._new("errors")
        os.unlink(f"{self._folder}/{self._requests}")
        self._must_renew = False
        return errors, self._new("output")

    def _number_of_new_tc(self, tables: int) -> int | None:
        """Count *tables* of distributions; return the number of the next tc, or ``None`` if this one can go on."""
        self._tables += tables
        if not self._must_renew and self._tables <= MAX_TABLES and self._read["output"] < MAX_OUTPUT_BYTES:
            return None
        for kind in self._read:
            self._read[kind] = 0
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{kind}.{self._tc}")
        self._tc += 1
        self._tables = tables
        return self._tc

    def _new(self, kind: str) -> str:
        """Return what tc has written to its output or errors since the last call."""
        try:
            with open(f"{self._folder}/{kind}.{self._tc}", "rb") as file:
                file.seek(self._read[kind])
                data = file.read()
        except FileNotFoundError:  # a new tc has not opened it yet
            return ""
        self._read[kind] += len(data)
        return data.decode(errors="replace")
