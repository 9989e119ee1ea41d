"""The mailbox of the wire's kernel: here bash runs the agent, and a few lines of Python are its tc."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import SERVICES
from wire import mailbox
from wire.mailbox import Answer, Mailbox, script, take_answer
from wire.requests import WireError

TC = f"""#!{sys.executable}
import os, sys, time
assert sys.argv[1:] == ["-s", "-j", "-force", "-batch", "-"]
for number, line in enumerate(sys.stdin, 1):
    word, _, rest = line.strip().partition(" ")
    if word == "show":
        print(f"[{{rest}}]", flush=True)
    elif word == "process":
        print([os.getpid()], flush=True)
    elif word == "pause":
        time.sleep(float(rest))
    elif word == "warn":
        print("Warning:", rest, file=sys.stderr, flush=True)
    elif word == "die":
        sys.exit(1)
    elif word == "refuse":
        print(f"Error: {{rest}}\\nCommand failed -:{{number}}", file=sys.stderr, flush=True)
    elif word not in ("", "qdisc"):
        message = f'Object "{{word}}" is unknown, try "tc help".\\nCommand failed -:{{number}}'
        print(message, file=sys.stderr, flush=True)
"""


class Box:
    """A mailbox, and the agent that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "box"
        self.mailbox = Mailbox(str(self.folder), deadline_s=10)
        (folder / "tc").write_text(TC)
        (folder / "tc").chmod(0o755)
        bash = shutil.which("bash")
        assert bash is not None
        command = [bash, str(SERVICES / "wire" / "agent"), str(self.folder), str(folder), str(folder / "tc")]
        self.agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until_s = time.monotonic() + 20
        while not self.mailbox.is_open:
            assert time.monotonic() < until_s
            time.sleep(0.005)

    def close(self) -> None:
        self.agent.kill()
        self.agent.communicate()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.close()


def test_lines_are_run_in_order_and_their_output_is_returned(box: Box) -> None:
    assert box.mailbox.tc("show one\nshow two\n") == "[one]\n[two]\n"
    assert box.mailbox.tc("") == ""
    assert box.mailbox.tc("show it's 100 %s \\n $HOME `id`") == "[it's 100 %s \\n $HOME `id`]\n"


def test_one_tc_serves_many_requests(box: Box) -> None:
    assert len({box.mailbox.tc("process\n") for _ in range(5)}) == 1


def test_a_line_that_fails_is_reported_and_the_next_request_is_not_affected(box: Box) -> None:
    with pytest.raises(WireError, match=r"^tc in the wire: Error: no such device\. Error: no such handle\.$"):
        box.mailbox.tc("refuse no such device.\nrefuse no such handle.\nshow one\n")
    assert box.mailbox.tc("show two\n") == "[two]\n"


def test_a_warning_is_no_failure(box: Box) -> None:
    assert box.mailbox.tc("warn large quantum\nshow one\n") == "[one]\n"


def test_requests_from_several_threads_get_their_own_answers(box: Box) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = box.mailbox.tc(f"show {number}\n")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert answers == {number: f"[{number}]\n" for number in range(12)}


def test_a_late_answer_is_an_error_and_not_the_answer_to_the_next_request(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.mailbox._deadline_s = 0.3
    try:
        with pytest.raises(WireError, match=r"did not answer within 0\.3 s"):
            box.mailbox.tc("pause 0.6\nshow late\n")
        box.mailbox._deadline_s = 10
        assert box.mailbox.tc("show next\n") == "[next]\n"
    finally:
        box.close()


def test_a_request_need_not_wait_for_the_answer_to_another(box: Box) -> None:
    """Twenty that are posted while tc is busy are answered at once when it is not any more."""
    answers: list[str] = []
    busy = threading.Thread(target=box.mailbox.tc, args=("pause 1\n",))
    threads = [threading.Thread(target=lambda: answers.append(box.mailbox.tc("process\n"))) for _ in range(20)]
    busy.start()
    for one in threads:
        one.start()
    until_s = time.monotonic() + 10
    while len([path for path in box.folder.iterdir() if path.name.isdecimal()]) < 21 and time.monotonic() < until_s:
        time.sleep(0.002)
    assert busy.is_alive()
    for one in (busy, *threads):
        one.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_after_the_end_of_tc_the_next_request_starts_another(box: Box) -> None:
    before = box.mailbox.tc("process\n")
    box.mailbox._deadline_s = 0.3
    with pytest.raises(WireError, match="did not answer"):
        box.mailbox.tc("die\n")
    box.mailbox._deadline_s = 10
    assert box.mailbox.tc("process\n") != before


def test_a_tc_that_leaks_and_an_answer_file_that_grows_are_replaced(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    first = box.mailbox.tc("process\n")
    table = "qdisc change dev vec0 root netem delay 20ms 5ms distribution normal\n"
    monkeypatch.setattr(mailbox, "MAX_TABLES", 3)
    assert box.mailbox.tc(table * 3 + "process\n") == first
    second = box.mailbox.tc(table + "process\n")
    assert second != first
    assert box.mailbox.tc(table * 2 + "process\n") == second
    monkeypatch.setattr(mailbox, "MAX_ANSWER_BYTES", 1000)
    box.mailbox.tc(f"show {'x' * 1000}\n")
    third = box.mailbox.tc("process\n")
    assert third not in {first, second}
    assert sorted(path.name for path in box.folder.iterdir()) == ["answers.3", "ready"]


def mark(number: int) -> str:
    return f'Object "request-{number}" is unknown, try "tc help".\nCommand failed -:{number}\n'


@pytest.mark.parametrize(
    "text", ["", mark(1)[:-1], mark(1).splitlines(keepends=True)[0], "x\nCommand failed -:1\n", mark(11)]
)
def test_an_answer_that_is_not_complete_is_none(text: str) -> None:
    assert take_answer(1, text) is None


def test_an_answer_ends_at_its_mark_and_begins_at_the_one_before() -> None:
    text = "[1]\nError: late.\nCommand failed -:1\n" + mark(1) + "[2]\n" + mark(2) + "[3]\n"
    assert take_answer(2, text) == (Answer("[2]\n", ""), "[3]\n")


def test_messages_are_errors_where_a_line_failed() -> None:
    assert take_answer(1, "[1]\nWarning: w.\n" + mark(1)) == (Answer("[1]\n", ""), "")
    failed = "[1]\nError: e.\nCommand failed -:1\n[2]\n" + mark(1)
    assert take_answer(1, failed) == (Answer("[1]\n[2]\n", "Error: e."), "")


def test_a_new_tc_is_started_before_the_lines() -> None:
    assert script("", 4, first="ip link set vec0 down\n") == "ip link set vec0 down\nprintf '%s' 'request-4\n' >&4\n"
    assert script("show\n", 2, renew=3) == "renew_tc 3\nprintf '%s' 'show\nrequest-2\n' >&4\n"
