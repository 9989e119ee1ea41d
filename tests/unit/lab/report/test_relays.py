"""A report on a tree of relays: clients stand with their server, and what was lost before a relay is said as that."""

import io
import re

import msgspec
from junitparser import JUnitXml
from rich.console import Console

from flume.lab.report.intervals import intervals
from flume.lab.report.page import html
from flume.lab.report.sentences import client_sentence
from flume.lab.report.writer import host_links, junit, read_report, table, write_report
from flume.lab.trial.verdict import Balance, ClientReport, HostLink, Report, Verdict
from support.captures.relaying import Tree
from support.pages.sample import a_client, a_report

LINKS = [HostLink(source="h1", destination="h2", datagrams=1500, bytes=1992000)]


def lossy() -> Report:
    tree = Tree()
    tree.lost = {"relay-h2": frozenset({40, 41, 90})}
    return msgspec.structs.replace(tree.play().report(), host_links=LINKS)


def client(report: Report, name: str) -> ClientReport:
    return next(one for one in report.clients if one.name == name)


def test_a_sentence_names_the_relay():
    report = lossy()
    assert client_sentence(client(report, "client-4")).startswith(
        "client 4, behind relay-h2, lost 2.0 % before relay-h2"
    )
    assert client_sentence(client(report, "client-5")).startswith("client 5, behind relay-h3, lost nothing")
    said = client_sentence(client(report, "relay-h2"))
    assert said == "relay-h2 lost 2.0 % on its link and passes the stream on"


def test_a_sentence_tells_the_links_apart():
    changes = {
        "server": "relay-h2",
        "datagrams_lost_upstream": 100,
        "balance": Balance(sent=9900, received=9801, lost_on_link=99),
    }
    one = msgspec.structs.replace(a_client(3), **changes)
    assert "client 3, behind relay-h2, lost 1.0 % before relay-h2 and 1.0 % on its link" in client_sentence(one)
    broken = msgspec.structs.replace(one, verdict=Verdict.ERROR)
    assert client_sentence(broken).startswith("client 3, behind relay-h2: nothing is proved")


def test_the_table_has_the_clients_of_a_server_together():
    output = io.StringIO()
    Console(file=output, width=120).print(table(lossy()))
    names = re.findall(r"^\s*(behind [\w-]+|client-\d|relay-h\d)\b", output.getvalue(), re.MULTILINE)
    assert names == [
        *("behind server", "relay-h2", "relay-h3"),
        *("behind relay-h2", "client-3", "client-4"),
        *("behind relay-h3", "client-5", "client-6"),
    ]
    plain = io.StringIO()
    Console(file=plain, width=120).print(table(a_report()))
    assert "behind" not in plain.getvalue()


def test_the_page_has_the_clients_of_a_server_together():
    page = html(lossy())
    assert re.findall(r">Behind ([\w-]+)<", page) == ["server", "relay-h2", "relay-h3"] * 2
    assert "all behind relay-h2" in page
    assert "Lost before<br>its relay" in page
    assert "behind relay-h3</span>" in page
    plain = html(a_report())
    assert "Behind" not in plain
    assert "before<br>its relay" not in plain
    assert "From host to host" not in plain


def test_the_page_and_the_terminal_say_what_crossed_between_hosts():
    report = lossy()
    assert host_links(report) == ["from h1 to h2: 1 500 datagrams, 1 992 000 bytes"]
    assert "From host to host" in html(report)
    assert host_links(a_report()) == []


def test_the_time_line_has_what_was_lost_before_the_relay():
    report = lossy()
    rows = intervals(client(report, "client-3"), report.duration_s)
    assert sum(row.lost_upstream or 0 for row in rows) == 3
    assert [row.lost_upstream for row in intervals(client(report, "relay-h2"), report.duration_s)] == [None] * len(rows)
    assert html(report).count('"upstream":[') == 4


def test_a_report_is_read_again_and_one_without_relays_too(tmp_path):
    report = lossy()
    path, *_ = write_report(report, tmp_path)
    assert read_report(path) == report
    old = msgspec.json.decode(path.read_bytes())
    del old["balances"], old["host_links"]
    for one in old["clients"]:
        del one["server"], one["datagrams_lost_upstream"]
    path.write_bytes(msgspec.json.encode(old))
    assert {one.server for one in read_report(path).clients} == {"server"}


def test_each_case_of_junit_has_its_own_name():
    (suite,) = JUnitXml.fromstring(junit(lossy()))
    cases = [(case.classname, case.name) for case in suite]
    assert len(set(cases)) == len(cases)
    assert ("flumelab.relay-h2", "strangers") in cases
