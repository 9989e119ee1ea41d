"""The table of a running lab, from what clients say."""

import io

from rich.console import Console

from flume.lab.status import Row, last_statistics, table

LOG = """\
{"event":"state","state":"active"}
{"event":"statistics","state":"active","transport":"tcp","datagrams":12,"lost":0}
not an event
"""


def shown(row: Row) -> str:
    output = io.StringIO()
    Console(file=output, width=160).print(table("demo", [row]))
    return output.getvalue()


def test_the_last_statistics_are_found_between_other_lines():
    assert last_statistics(LOG)["transport"] == "tcp"
    assert last_statistics("nothing") == {}


def test_what_carries_the_media_is_shown_because_a_firewall_may_have_changed_it():
    row = Row(1, "198.18.0.11", "running", "healthy", "active", "tcp", 12, 0, 1.5, 3, 200.0)
    assert "over tcp" in shown(row)
    assert "over" not in shown(row._replace(transport=None))
