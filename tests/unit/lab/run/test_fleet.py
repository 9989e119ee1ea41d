"""Clients of a fleet, as their events show them, and waiting until their counts no longer change."""

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from flume.control.script import STEERING
from flume.control.session import Command, State
from flume.errors import EngineError, LabError
from flume.lab.containers.engine import Network
from flume.lab.hosts.watch import HostLostError
from flume.lab.run.event_log import EventLog
from flume.lab.run.fleet import QUIET_S, Client, Fleet, Member, quiesce
from flume.lab.run.programs import OURS, Program


class FakeIo:
    """An attachment that keeps what is written, until it has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended = False

    def write_line(self, line: str) -> None:
        if self.ended:
            raise EngineError("no longer takes input")
        self.lines.append(line)


def client(io: FakeIo | None = None, exit_code: int = 0, program: Program = OURS) -> Client:
    container: Any = SimpleNamespace(io=io, state=lambda: SimpleNamespace(exit_code=exit_code))
    return Client(3, Member(container, EventLog("client-3")), program=program)


def report(one: Client, *, time_s: float, datagrams: int, state: str = "interrupted") -> None:
    event = {"event": "statistics", "time_s": time_s, "datagrams": datagrams, "state": state}
    one.member.events.on_line(msgspec.json.encode(event).decode())


def test_a_command_is_one_line_of_input_and_an_unattached_client_is_refused():
    io = FakeIo()
    client(io).send(Command.INTERRUPT)
    assert io.lines == ["interrupt"]
    with pytest.raises(LabError, match="client-3 takes no commands"):
        client().send(Command.INTERRUPT)


def test_another_player_is_told_in_the_words_of_its_driver():
    io = FakeIo()
    for command in STEERING:
        client(io, program=Program("gstreamer")).send(command)
    assert io.lines == ["play", "pause", "resume", "stop"]


@pytest.mark.parametrize(
    ("state", "ours", "another"),
    [
        ("closed", None, None),
        ("active", Command.INTERRUPT, Command.DISCONNECT),
        ("interrupted", None, Command.DISCONNECT),
    ],
)
def test_a_measurement_ends_with_an_interrupt_or_with_the_stop_of_another_player(
    state: str, ours: Command | None, another: Command | None
):
    """A pause is not enough there: some players halt only what they display."""
    for program, expected in ((OURS, ours), (Program("vlc"), another)):
        one = client(program=program)
        report(one, time_s=1, datagrams=7, state=state)
        assert one.last_command is expected


def test_the_state_is_that_of_the_latest_statistics_and_closed_before_any():
    one = client()
    assert (one.state, one.statistics) == (State.CLOSED, None)
    report(one, time_s=1, datagrams=7, state="active")
    assert (one.state, one.statistics and one.statistics.datagrams) == ("active", 7)


@pytest.mark.parametrize(("exit_code", "how"), [(137, r"status 137, killed"), (1, r"status 1")])
def test_a_container_that_has_ended_is_named_with_its_status_and_last_output(exit_code: int, how: str):
    io = FakeIo()
    one = client(io, exit_code)
    one.member.check_running()
    io.ended = True
    one.member.events.on_error("flume: the display is gone")
    with pytest.raises(
        LabError, match=rf"client-3 ended during the run \({how}\); its last output: the display is gone"
    ):
        one.member.check_running()


def fleet_of(*wires: Member) -> Fleet:
    server, probe = (
        Member(cast("Any", SimpleNamespace(io=None, host="")), EventLog(name)) for name in ("server", "the probe")
    )
    return Fleet(Network("n", "1", "198.18.0.0/24", "198.18.0.1"), server, (), (probe,), wires)


def test_an_error_whose_cause_is_a_wire_that_has_ended_names_the_wire():
    io = FakeIo()
    container: Any = SimpleNamespace(io=io, host="h2", state=lambda: SimpleNamespace(exit_code=1))
    wire = Member(container, EventLog("the wire"))
    fleet = fleet_of(wire)
    with pytest.raises(LabError, match=r"^no answer$"), fleet.naming_the_cause():
        raise LabError("no answer")
    io.ended = True
    wire.events.on_error("a line of its console")
    wire.events.on_line('{"event": "ended", "reason": "the kernel was killed by signal 9"}')
    named = r"the wire ended during the run \(status 1\); its last output: the kernel was killed by signal 9"
    with pytest.raises(LabError, match=named), fleet.naming_the_cause():
        raise LabError("no answer")
    with pytest.raises(LabError, match=r"^no answer$"), fleet.naming_the_cause(lambda: ["h2"]):
        raise LabError("no answer")
    with pytest.raises(HostLostError, match="the server's"), fleet.naming_the_cause():
        raise HostLostError("the server's")
    with pytest.raises(LabError, match="the wire ended while it should boot its kernel"):
        fleet.wait_for_wires()


def test_waiting_for_quiet_ends_at_once_where_it_is_in_vain():
    counting = client()
    report(counting, time_s=10, datagrams=5)

    def check() -> None:
        raise LabError("the wire ended")

    with pytest.raises(LabError, match="the wire ended"):
        quiesce([counting], timeout_s=30, check=check)


def test_a_client_without_statistics_and_a_client_whose_counts_stay_are_quiet():
    silent, still = client(), client()
    report(still, time_s=10, datagrams=5)
    timer = threading.Timer(0.15, lambda: report(still, time_s=10 + QUIET_S, datagrams=5))
    timer.start()
    began_s = time.monotonic()
    quiesce([silent, still], timeout_s=30)
    assert 0.1 < time.monotonic() - began_s < 15, "the second statistics end it, and nothing else does"
    timer.join()


def test_a_client_that_goes_on_counting_is_waited_for_until_the_time_limit_only():
    counting = client()
    report(counting, time_s=10, datagrams=5)
    began_s = time.monotonic()
    quiesce([counting], timeout_s=0.25)
    assert 0.25 <= time.monotonic() - began_s < 10


def test_a_count_that_changes_begins_the_quiet_time_anew():
    changing = client()
    report(changing, time_s=10, datagrams=5)
    timer = threading.Timer(0.15, lambda: report(changing, time_s=10 + 2 * QUIET_S, datagrams=6))
    timer.start()
    began_s = time.monotonic()
    quiesce([changing], timeout_s=0.5)
    assert time.monotonic() - began_s >= 0.5
    timer.join()
