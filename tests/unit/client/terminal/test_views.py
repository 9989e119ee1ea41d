"""What a person is told of a server."""

import msgspec

from flume.client.terminal.views import TextView
from flume.control import messages as m
from flume.control.session import Command, State

SERVER = m.ServerStatus(
    uptime_s=7.0, source="camera", ingest="stalled", sessions=2, active=1, datagrams=9, segmentation=True
)


def said(server: m.ServerStatus) -> str:
    lines: list[str] = []
    status = m.Status(state=State.ACTIVE, session=m.ClientCounters(), server=server)
    TextView(lines.append).command(Command.STATUS, status)
    (line,) = lines
    return line


def test_the_status_line_says_what_is_wrong_with_the_source() -> None:
    well = "status: active; server 'camera', up 7 s, ingest stalled, 1 of 2 sessions active"
    assert said(SERVER) == well
    assert said(msgspec.structs.replace(SERVER, source_counts={"stalls": 3})) == well + "; the source: stalls 3"
