"""What the views show: lines for people, JSON for programs."""

import io
import json

import msgspec

from flume.client.events import ClientRecord
from flume.client.terminal.views import JsonView, TextView
from flume.control import messages
from flume.control.session import Command, State
from flume.errors import NetworkError

SERVER = messages.ServerStatus(
    uptime_s=7.0, source="camera", ingest="stalled", sessions=2, active=1, datagrams=9, segmentation=True
)


def status_line(server: messages.ServerStatus) -> str:
    lines: list[str] = []
    status = messages.Status(state=State.ACTIVE, session=messages.ClientCounters(), server=server)
    TextView(lines.append).command(Command.STATUS, status)
    (line,) = lines
    return line


def test_the_status_line_says_what_is_wrong_with_the_source() -> None:
    healthy = "status: active; server 'camera', up 7 s, ingest stalled, 1 of 2 sessions active"
    assert status_line(SERVER) == healthy
    faulty = msgspec.structs.replace(SERVER, source_counts={"stalls": 3})
    assert status_line(faulty) == healthy + "; the source: stalls 3"


def test_a_reply_is_written_for_programs_as_it_came_over_the_wire() -> None:
    out = io.StringIO()
    view = JsonView(out)
    view.command(Command.INTERRUPT, messages.Interrupted(state=State.INTERRUPTED, last_sequence=7, datagrams=3))
    view.command(Command.CONTINUE, NetworkError("there is no connection"))
    interrupt, not_sent, error = (json.loads(line) for line in out.getvalue().splitlines())
    assert (interrupt["event"], interrupt["command"]) == ("command", "interrupt")
    assert interrupt["reply"] == {"reply": "interrupt", "state": "interrupted", "last_sequence": 7, "datagrams": 3}
    assert (not_sent["command"], not_sent["reply"], not_sent["error"]) == ("continue", None, "there is no connection")
    assert (error["event"], error["code"]) == ("error", "not_sent")


def test_a_record_is_written_for_the_lab_and_an_empty_one_once() -> None:
    out = io.StringIO()
    view = JsonView(out)
    for record in (ClientRecord(), ClientRecord(), ClientRecord(shown=((7.5, 41), (7.54, None)), late=((8.0, 3),))):
        view.record(record)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["shown"], first["given_up"], first["late"]) == ("frames", [], [], [])
    assert (second["shown"], second["late"]) == ([[7.5, 41], [7.54, None]], [[8.0, 3]])
