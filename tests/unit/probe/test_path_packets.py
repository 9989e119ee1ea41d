"""path-probe's datagrams: what is damaged or not ours is told apart; and the program itself, over loopback."""

import ast
import contextlib
import io
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe import path_packets as packets
from probe import path_probe
from support.paths import SERVICES

TOKEN = bytes(range(16))


@given(st.binary(max_size=100))
def test_any_bytes_are_taken(data: bytes) -> None:
    assert packets.opened_untrusted(data, TOKEN) is None
    packets.answered_untrusted(data)


@given(st.sampled_from([packets.FULL, packets.FULL_BACK, packets.BATCH]), st.integers(1, 99), st.integers(30, 9000))
def test_one_wrong_byte_is_found(kind: int, attempt: int, size: int) -> None:
    data = bytearray(packets.packed(TOKEN, kind, attempt, 3, size))
    assert len(data) == size
    assert packets.opened_untrusted(bytes(data), TOKEN) == (kind, attempt, 3, True)
    data[-1] ^= 1
    assert packets.opened_untrusted(bytes(data), TOKEN) == (kind, attempt, 3, False)


def test_the_datagrams_of_another_examination_do_not_count() -> None:
    assert packets.opened_untrusted(packets.packed(TOKEN, packets.FULL, 1, 0, 50), bytes(16)) is None


def test_a_batch_is_whole_once_each_of_its_datagrams_has_come_and_said_so_once() -> None:
    seen = packets.Arrivals()
    whole = packets.batch(TOKEN, packets.BATCH, 5)
    size = packets.BATCH_BYTES
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    opened = [packets.opened_untrusted(part, TOKEN) for part in parts]
    assert [seen.take(one) for one in (*opened, opened[0]) if one] == [False] * 7 + [True, False]
    assert seen.has_batch(5)
    assert not seen.has_batch(4)


def test_an_answer_says_what_came() -> None:
    seen = packets.Arrivals()
    seen.take(packets.Datagram(packets.FULL, 2, 0, is_intact=True))
    seen.take(packets.Datagram(packets.FULL, 3, 0, is_intact=False))
    assert packets.answered_untrusted(packets.answer(TOKEN, 2, seen, 1 << 40)) == (True, False, 1, 0xFFFFFFFF)
    assert packets.answered_untrusted(packets.answer(TOKEN, 3, seen, 0)) == (False, False, 1, 0)


# The program


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`path-probe answer` runs, on a free port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        port = sock.getsockname()[1]
    monkeypatch.setattr(path_probe, "PORT", port)
    code = f"from probe import path_probe; path_probe.PORT = {port}; path_probe.main(['answer', '{TOKEN.hex()}'])"
    environment = os.environ | {"PYTHONPATH": str(SERVICES)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()


def checked(*addresses: str) -> list[dict[str, object]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        path_probe.main(["check", TOKEN.hex(), *addresses])
    lines = out.getvalue().replace("true", "True").replace("false", "False").splitlines()
    return [ast.literal_eval(line) for line in lines]


@pytest.mark.usefixtures("answering")
def test_what_goes_over_loopback_comes_back() -> None:
    (seen,) = checked("127.0.0.1")
    assert seen.pop("checksum_errors") == 0
    assert seen == {
        "address": "127.0.0.1",
        "refused": "",
        "answered": True,
        "full_there": True,
        "full_back": True,
        "batch_there": True,
        "batch_back": True,
        "damaged": 0,
        "mtu": 65535,  # loopback has 65536, and a packet of IPv4 no more than this
    }


def test_an_address_where_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_probe, "_FIRST_ANSWER_S", 0.3)
    (seen,) = checked("127.0.0.77")
    assert seen["answered"] is False


@pytest.mark.parametrize("arguments", [[], ["check", "xyz", "127.0.0.1"], ["answer", "00"]])
def test_what_it_cannot_do_is_one_line(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"path-probe: "):
        path_probe.main(arguments)
