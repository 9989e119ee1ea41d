"""``clock-probe`` on loopback: what it finds, what it ignores, and that it ends."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable

import pytest

from probe.clock_probe import keep_answering
from probe.exchanges import LAYOUT, answer, answered_untrusted, question
from support import clock_probe
from support.clock_probe import Detour

DELAY_S = 0.004


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_a_host_is_not_ahead_of_itself(address: str, record_property: Callable[[str, object], None]) -> None:
    found = clock_probe.asked(address, *clock_probe.answering())
    assert 0 < found["answers"] <= 100
    assert abs(found["offset_ns"]) <= found["round_trip_ns"] / 2
    assert abs(found["asked_ns"] - time.time_ns()) < 60e9
    record_property("round trip, µs", found["round_trip_ns"] / 1000)


@pytest.mark.parametrize(("out_s", "back_s"), [(DELAY_S, 0.0), (0.0, DELAY_S)])
def test_on_a_path_that_is_longer_one_way_the_bound_holds(out_s: float, back_s: float) -> None:
    port, cookie = clock_probe.answering()
    with Detour(("127.0.0.1", port), out_s=out_s, back_s=back_s).open() as detour:
        found = clock_probe.asked("127.0.0.1", detour.port, cookie, count=20)
    assert 0 < found["answers"] <= 20
    assert found["round_trip_ns"] >= DELAY_S * 1e9
    assert abs(found["offset_ns"]) <= found["round_trip_ns"] / 2
    assert set(detour.passed["out"]) == set(detour.passed["back"]) == {LAYOUT.size}


@pytest.mark.parametrize("ahead_s", [2, -2, 86_400])
def test_the_clock_of_another_host_is_ahead_or_behind(ahead_s: int) -> None:
    """The detour gives the answers the times of a host whose clock is so far ahead."""
    port, cookie_text = clock_probe.answering()
    cookie, ahead_ns = bytes.fromhex(cookie_text), ahead_s * 10**9

    def shifted(data: bytes) -> list[bytes]:
        found = answered_untrusted(data, cookie)
        assert found is not None
        number, heard, answered = found
        return [answer(cookie, number, heard + ahead_ns, answered + ahead_ns)]

    with Detour(("127.0.0.1", port), changed=shifted).open() as detour:
        asked = clock_probe.asked("127.0.0.1", detour.port, cookie_text, count=20)
    assert abs(asked["offset_ns"] - ahead_ns) <= asked["round_trip_ns"] / 2


def test_without_an_answer_it_says_so_and_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        found = clock_probe.asked("127.0.0.1", silent.getsockname()[1], "00" * 16, count=20)
    assert found == {"offset_ns": None, "round_trip_ns": None, "asked_ns": None, "answers": 0}


def test_a_wrong_cookie_gets_no_answer() -> None:
    port, cookie = clock_probe.answering()
    assert clock_probe.asked("127.0.0.1", port, "ab" * 16, count=20)["answers"] == 0
    assert clock_probe.asked("127.0.0.1", port, cookie, count=20)["answers"] > 0


def test_junk_is_answered_by_nothing_and_does_not_end_it() -> None:
    cookie = bytes(16)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
    ):
        there.bind(("127.0.0.1", 0))
        here.settimeout(10)
        here.connect(there.getsockname())
        thread = threading.Thread(target=keep_answering, args=(there, 5, cookie))
        thread.start()
        for junk in (b"", b"x" * 1400, question(b"y" * 16, 1), question(cookie, 1)[:-1], answer(cookie, 1, 2, 3)):
            here.send(junk)
        here.send(question(cookie, 7))
        reply = here.recv(2048)
        assert LAYOUT.unpack(reply)[3] == 7
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.recv(2048)
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_an_answer_from_another_is_not_counted() -> None:
    """It has no cookie, or a number that was not asked for."""
    port, cookie = clock_probe.answering()
    junk = (answer(bytes(16), 0, 5, 5), answer(bytes.fromhex(cookie), 99, 5, 5), b"", b"x" * 100)
    with Detour(("127.0.0.1", port), changed=lambda data: [*junk, data]).open() as detour:
        found = clock_probe.asked("127.0.0.1", detour.port, cookie, count=20)
    assert 0 < found["answers"] <= 20
    assert abs(found["offset_ns"]) <= found["round_trip_ns"] / 2


def test_it_ends_by_itself() -> None:
    port, _ = clock_probe.answering(seconds=1)
    until_s = time.monotonic() + 60
    while _is_taken(port):
        assert time.monotonic() < until_s
        time.sleep(0.1)


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return True
    return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "usage: clock-probe answer"),
        (("answer", "0", "00" * 16), "'0' is no number from 1 to 120"),
        (("answer", "9999999999", "00" * 16), "is no number from 1 to 120"),
        (("answer", "5", "secret"), "a cookie of 32 hexadecimal digits is needed"),
        (("ask", "127.0.0.1", "70000", "5", "00" * 16), "'70000' is no number from 1 to 65535"),
        (("ask", "127.0.0.1", "5", "5000", "00" * 16), "'5000' is no number from 1 to 1000"),
        (("ask", "no.such.host.invalid", "5", "5", "00" * 16), "no.such.host.invalid is no address"),
        (("ask", "255.255.255.255", "5", "5", "00" * 16), "no question can be sent to 255.255.255.255"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = clock_probe.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"clock-probe: .*{re.escape(said)}.*\n", done.stderr)


def test_what_it_prints_is_json() -> None:
    started = clock_probe.run("answer", 1, "00" * 16)
    assert set(json.loads(started.stdout)) == {"port"}
