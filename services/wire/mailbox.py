"""The folder by which the wire's kernel gets tc commands: it can lose the wake-ups of other channels under load.

The kernel looks for the file ``N`` every few milliseconds (every 20 ms when it was not asked for a second) and runs it
as a shell script. One tc stays in there and reads its commands from a pipe, because starting one costs 60 ms::

    printf '%s' 'qdisc change dev vec0 root handle 1: netem limit 1000 delay 20ms
    request-17
    ' >&4

tc writes its output and its errors, in that order, to the file ``answers.K``. To a command that does not exist, here
``request-17``, it answers with two lines there, so it has dealt with all lines before. ``renew_tc K`` in a script
starts another tc. Requests need not wait for the answers to those before.
"""

import contextlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from wire.requests import WireError, one_line

COMMAND_S = 5.0
"""Longest time for one request, including the requests before it that are not answered yet."""

MAX_TABLES = 400
"""How many lines with a table of a distribution one tc gets: Debian's tc 6.1 keeps 40 KB for each until it ends."""

MAX_ANSWER_BYTES = 4 << 20
"""Size of an answer file at which another tc begins another file: the files are in memory."""

_POLL_S = 0.001

_MARK = re.compile(r'^Object "request-(\d+)" is unknown.*\n.*\n', re.MULTILINE)


class Answer(NamedTuple):
    """What tc wrote before a mark."""

    output: str
    errors: str
    """In one line; empty if no line failed."""


def script(lines: str, number: int, *, renew: int | None = None, first: str = "") -> str:
    """Return the shell script that gives *lines* and the mark of request *number* to tc; *renew* numbers a new tc.

    *first* is a command of the shell that is run before.

    >>> script("qdisc show\\n", 17)
    "printf '%s' 'qdisc show\\nrequest-17\\n' >&4\\n"
    """
    text = f"{lines.rstrip()}\nrequest-{number}\n".lstrip("\n").replace("'", "'\\''")
    start = "" if renew is None else f"renew_tc {renew}\n"
    return f"{first}{start}printf '%s' '{text}' >&4\n"


def take_answer(number: int, text: str) -> tuple[Answer, str] | None:
    """Return the answer to request *number* at the beginning of *text*, and the text after it; ``None``: not complete.

    Late answers to requests before are passed over. tc's output is JSON, one array a line.

    >>> mark = 'Object "request-3" is unknown, try "tc help".\\nCommand failed -:7\\n'
    >>> take_answer(3, '[{"kind":"netem"}]\\n' + mark + "[]\\n")
    (Answer(output='[{"kind":"netem"}]\\n', errors=''), '[]\\n')
    """
    begin = 0
    for match in _MARK.finditer(text):
        if int(match[1]) == number:
            lines = text[begin : match.start()].splitlines(keepends=True)
            output = "".join(line for line in lines if line.startswith("["))
            others = [line for line in lines if not line.startswith("[")]
            messages = [line for line in others if not line.startswith("Command failed ")]
            failed = len(messages) < len(others)  # else they are warnings
            return Answer(output, one_line("".join(messages)) if failed else ""), text[match.end() :]
        begin = match.end()
    return None


class _Request:
    """A request whose answer has not come yet."""

    def __init__(self, number: int, tc: int, until_s: float) -> None:
        self.number, self.tc, self.until_s = number, tc, until_s
        self.done = threading.Event()
        self.answer: Answer | None = None


class Mailbox:
    """The folder, and the tc behind it. Thread-safe."""

    def __init__(self, folder: str, *, deadline_s: float = COMMAND_S) -> None:
        """Make *folder*, which the kernel's user may write to."""
        self._folder = folder
        self._deadline_s = deadline_s
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._requests = 0
        self._tc = 1
        self._must_renew = False
        self._tables = 0
        self._read_bytes = 0
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)  # noqa: S103 - in the container
        threading.Thread(target=self._read_answers, name="answers", daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Whether the kernel looks into it."""
        return os.path.exists(f"{self._folder}/ready")

    def tc(self, lines: str) -> str:
        """Run *lines* as ``tc -s -j -force -batch`` does and return the output; lines after a failure are run as well.

        Raises :class:`WireError` when a line fails, and when the answer does not come in time; then the lines may
        still be run later.
        """
        return self._run(lines)

    def close(self, interfaces: Iterable[str]) -> None:
        """Set *interfaces* of the kernel down for good; raises :class:`WireError` when no answer comes in time.

        A socket whose interface has gone gives errors. From the first one on, the kernel's driver polls the socket
        without a pause (its ``vector_mmsg_rx`` says that its whole budget is used), which takes a whole CPU.
        """
        self._run("", first="".join(f"/sbin/ip link set {name} down\n" for name in interfaces))

    def _run(self, lines: str, *, first: str = "") -> str:
        with self._changed:
            request = self._post(lines, first)
            self._waiting.append(request)
            self._changed.notify()
        request.done.wait()
        if request.answer is None:
            raise WireError(f"the kernel of the wire did not answer within {self._deadline_s:g} s")
        if request.answer.errors:
            raise WireError(f"tc in the wire: {request.answer.errors}")
        return request.answer.output

    def _post(self, lines: str, first: str) -> _Request:
        """Put the script of one request into the folder."""
        self._requests += 1
        self._tables += lines.count(" distribution ")
        renew = None
        if self._must_renew or self._tables > MAX_TABLES or self._read_bytes > MAX_ANSWER_BYTES:
            self._must_renew, self._tables, self._read_bytes = False, 0, 0
            self._tc = renew = self._tc + 1
        with open(f"{self._folder}/new", "w") as file:
            file.write(script(lines, self._requests, renew=renew, first=first))
        os.rename(f"{self._folder}/new", f"{self._folder}/{self._requests}")
        return _Request(self._requests, self._tc, time.monotonic() + self._deadline_s)

    def _read_answers(self) -> None:
        """Give each request its answer, in their order."""
        tc, position, text = 1, 0, ""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                request = self._waiting.popleft()
            if request.tc != tc:
                self._remove(f"answers.{tc}")
                tc, position, text = request.tc, 0, ""
            while (found := take_answer(request.number, text)) is None and time.monotonic() < request.until_s:
                time.sleep(_POLL_S)
                new = self._read(f"answers.{tc}", position)
                position += len(new)
                text += new.decode(errors="replace")
            if found is not None:
                request.answer, text = found
                self._remove(str(request.number))
            with self._changed:
                self._must_renew = found is None
                self._read_bytes = position if tc == self._tc else 0
            request.done.set()

    def _read(self, name: str, position: int) -> bytes:
        """Return what is in a file from *position* on; nothing if it does not exist yet."""
        try:
            with open(f"{self._folder}/{name}", "rb") as file:
                file.seek(position)
                return file.read()
        except FileNotFoundError:
            return b""

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._folder}/{name}")
