"""The table of a running lab, from the statistics of its clients."""

import io
import json
from types import SimpleNamespace
from typing import cast

from rich.console import Console

from flume.errors import LabError
from flume.lab.commands import status
from flume.lab.commands.status import Row, server_line, table
from flume.lab.containers.container import Container, State
from flume.lab.hosts.site import Site


def shown(row: Row, server: str = "") -> str:
    output = io.StringIO()
    Console(file=output, width=160).print(table("demo", [row], server))
    return output.getvalue()


def test_the_transport_of_the_media_is_shown_because_a_firewall_may_have_changed_it():
    row = Row(1, "198.18.0.11", None, "running", "healthy", "active", "tcp", 12, 0, 1.5, 3, 200.0)
    assert " tcp " in shown(row)
    assert " tcp " not in shown(row._replace(transport=None))


def test_the_profile_of_each_link_is_shown():
    row = Row(1, "198.18.0.11", "geo", "running", "healthy", "active", "udp", 12, 0, 1.5, 3, 200.0)
    assert " geo " in shown(row)


def container_of(program: str, event: dict) -> Container:
    fields = {"index": 2, "address": "198.18.0.12", "program": program, "host": "h2"}
    answers = {"state": lambda: State("running", 0, "none"), "logs": lambda tail: json.dumps(event)}
    return cast("Container", SimpleNamespace(**fields, **answers))


def test_another_player_is_named_and_shown_without_the_counts_that_it_does_not_have():
    player = {"kind": "mpv", "frames_displayed": 70, "position_s": 2.8}
    said = {"event": "statistics", "state": "active", "transport": "udp", "join_ms": 700.0, "player": player}
    row = status._row(container_of("mpv", said), None)
    assert (row.program, row.datagrams, row.lost, row.jitter_ms, row.frames) == ("mpv", None, None, None, 70)
    assert (row.rate_kbit, row.lost_before, row.freezes) == (None, None, None)
    assert " mpv " in shown(row)
    assert (row.host, " h2 " in shown(row)) == ("h2", True)
    ours = status._row(container_of("flume", {**said, "datagrams": 900, "lost": 1}), None)
    assert (ours.program, ours.datagrams, ours.lost) == ("flume", 900, 1)


def test_what_a_container_does_is_shown_where_it_is_unusual():
    row = Row(1, "198.18.0.11", "geo", "running", "healthy", "active", "udp", 12, 0, 1.5, 3, 200.0)
    assert "running" not in shown(row)
    assert "active, exited, unhealthy" in shown(row._replace(container="exited", health="unhealthy"))


def test_losses_are_shown_by_their_cause_and_freezes_with_the_longest():
    row = Row(1, "198.18.0.11", "geo", "running", "healthy", "active", "udp", 3000, 7, 1.5, 3, 200.0)
    row = row._replace(rate_kbit=4321.0, lost_before=5, lost_here=2, late=9, freezes=2, longest_freeze_ms=1240)
    cells = shown(row).splitlines()[-2].split()
    assert cells[5:10] == ["4", "321", "3", "000", "5"]
    assert cells[10:12] == ["2", "9"]
    assert "2, 1.2 s" in shown(row)


class NoLinks:
    """Links of which some have ended."""

    clients = (1, 2)

    def present(self) -> dict[int, str]:
        raise LabError("the links of clients 1, 2 have ended with their wire")


def test_links_that_have_ended_with_their_wire_are_shown_and_are_no_error(monkeypatch):
    monkeypatch.setattr(status, "running_links", lambda *_: NoLinks())
    assert status.link_names(lab_of(), "demo") == {1: "ended", 2: "ended"}


class LabOf:
    """Hosts that have only what the server's line needs."""

    def __init__(self, *states: State) -> None:
        self._states = states

    def find(self, *, lab: str, role: str) -> list:
        assert (lab, role) == ("demo", "server")
        return [SimpleNamespace(state=lambda state=state: state) for state in self._states]


def lab_of(*states: State) -> Site:
    return cast("Site", LabOf(*states))


def test_the_servers_health_check_is_below_the_table():
    reported = "film.mp4: ingest running, 1 active, answered in 3 ms; the source: stalls 2"
    line = server_line(lab_of(State("running", 0, "healthy", reported)), "demo")
    row = Row(1, "198.18.0.11", None, "running", "healthy", "active", "udp", 12, 0, 1.5, 3, 200.0)
    assert "stalls 2" in shown(row, line)
    assert server_line(lab_of(State("running", 0, "starting")), "demo") == "server starting: not yet asked"
    assert server_line(lab_of(), "demo") == ""
