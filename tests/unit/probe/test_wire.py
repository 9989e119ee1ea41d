"""Requests to wires, and links that are shaped in them."""

import ast
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probe import emulators, wire
from probe.commands import ProbeError
from probe.emulators import Qdiscs, Shaping
from probe.links import Link

Serve = Callable[[int, Callable[[dict[str, Any]], object]], None]

PRIO = '{"kind":"prio","handle":"1:","root":true,"options":{"bands":2,"priomap":[1,1]},"bytes":0}'
NETEM = '{"kind":"netem","handle":"10:","parent":"1:2","options":{"limit":1000,"delay":{"delay":0.02}},"drops":7}'
INGRESS = '{"kind":"ingress","handle":"ffff:","parent":"ffff:fff1","options":{},"bytes":60,"drops":0}'


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a function that starts a wire with a process number; it answers what another function returns."""
    monkeypatch.setattr(wire, "CONTROL", str(tmp_path / "{}"))
    sockets = []

    def start(pid: int, answer: Callable[[dict[str, Any]], object]) -> None:
        server = socket.socket(socket.AF_UNIX)
        sockets.append(server)
        server.bind(str(tmp_path / str(pid)))
        server.listen()
        threading.Thread(target=run, args=(server, answer), daemon=True).start()

    def run(server: socket.socket, answer: Callable[[dict[str, Any]], object]) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as requested:
                data = requested.read()
                connection.sendall(str(answer(ast.literal_eval(data.decode()))).encode())

    yield start
    for one in sockets:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


def test_a_request_is_answered(serve: Serve) -> None:
    """However long the answer."""
    serve(77, lambda request: {"output": str(request) * 9999})
    request = {"do": "tc", "lines": "qdisc show\n"}
    assert wire.ask(77, request) == {"output": str(request) * 9999}


def test_the_wires_message_is_the_error(serve: Serve) -> None:
    """In one line for people."""
    serve(77, lambda _request: {"error": "no pair is left"})
    with pytest.raises(ProbeError, match="the wire: no pair is left"):
        wire.ask(77, {"do": "plug", "client": "c1", "bridge": "b1"})


@pytest.mark.parametrize("answer", ["", "{'links': 8", "nonsense"])
def test_a_wire_that_ends_in_the_middle_of_an_answer_is_an_error(serve: Serve, answer: str) -> None:
    """It says what to do."""
    serve(os.getpid(), lambda _request: answer)
    with pytest.raises(ProbeError, match=r"the wire does not answer .*make lab"):
        wire.ask(os.getpid(), {"do": "status"})


def test_a_wire_that_has_ended_is_an_error_at_once(serve: Serve) -> None:
    """Its process does not exist."""
    with pytest.raises(ProbeError, match="the wire has ended: start the lab again"):
        wire.ask(2**22, {"do": "status"})


def test_a_wire_that_is_just_starting_is_waited_for(serve: Serve) -> None:
    """Its process exists and its socket does not yet."""
    pid = os.getpid()
    timer = threading.Timer(0.1, serve, [pid, lambda _request: {"links": 8, "spare": 3}])
    timer.start()
    assert wire.spare_pairs(pid) == 3
    timer.join()


def test_links_are_shaped_each_in_its_own_wire(serve: Serve) -> None:
    """On the two interfaces of its pair; what joins them is not shown."""
    asked: dict[int, str] = {}

    def answers(pid: int) -> Callable[[dict[str, Any]], object]:
        def answer(request: dict[str, Any]) -> object:
            asked[pid] = request["lines"]
            shows = [line for line in request["lines"].splitlines() if line.startswith("qdisc show")]
            return {"output": "".join(f"[{PRIO},{NETEM.replace('7', line[-1])},{INGRESS}]\n" for line in shows)}

        return answer

    serve(77, answers(77))
    serve(78, answers(78))
    down, up = ["qdisc", "del", "dev", "LINK", "root"], ["qdisc", "add", "dev", "LINK", "root", "pfifo"]
    work = [
        Shaping(Link(1, 900, "fw77-1", 77, 0), [down], [up]),
        Shaping(Link(2, 901, "fw78-2", 78, 1)),
        Shaping(Link(3, 902, "fw77-3", 77, 2), [], [up]),
    ]
    shown = [f"[{PRIO},{NETEM.replace('7', vec)}]" for vec in "012345"]
    assert emulators.run(work) == [Qdiscs(*shown[0:2]), Qdiscs(*shown[2:4]), Qdiscs(*shown[4:6])]
    assert asked[78].splitlines() == ["qdisc show dev vec2", "qdisc show dev vec3"]
    assert asked[77].splitlines() == [
        "qdisc del dev vec0 root",
        "qdisc show dev vec0",
        "qdisc add dev vec1 root pfifo",
        "qdisc show dev vec1",
        "qdisc show dev vec4",
        "qdisc add dev vec5 root pfifo",
        "qdisc show dev vec5",
    ]


@pytest.mark.parametrize(
    ("shown", "left"),
    [(f"[{INGRESS}]", "[]"), (f"[{INGRESS},{PRIO}]", f"[{PRIO}]"), (f"[{PRIO}]", f"[{PRIO}]"), ("[{}]", "[{}]")],
)
def test_the_plumbing_is_left_out_wherever_it_stands(serve: Serve, shown: str, left: str) -> None:
    """And what remains is a list."""
    serve(77, lambda _request: {"output": f"{shown}\n{shown}\n"})
    assert emulators.run([Shaping(Link(1, 900, "fw77-1", 77, 0))]) == [Qdiscs(left, left)]
