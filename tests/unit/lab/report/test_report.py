"""The report as JSON, page, table and JUnit XML: what they say, and that they can be read."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from junitparser import JUnitXml
from rich.console import Console

from flume.errors import LabError
from flume.lab.report.page import html, trouble
from flume.lab.report.writer import account, junit, read_report, table, write_page, write_report
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Check, LinkFigure, Network, Report, RunFacts, Verdict
from support.captures.judging import BALANCE_FIELDS, CLIENT_FIELDS
from support.captures.wire import Wire

RUN = RunFacts(
    run="20261122-tour", engine={"name": "Docker <20.10>"}, timings={"images": 0.2}, scenario={"video": "card"}
)


def report(*, leaking: bool = False, extra: tuple[Check, ...] = ()) -> Report:
    wire = Wire().connect(1).connect(2).stream(1, 1, 2).last("interrupt", 2).stream(0.5, 1, *([2] if leaking else []))
    wire.request(2, "continue").reply(2, "continue", state="active").stream(1, 1, 2)
    wire.request(2, "continue").refuse(2, "continue", "not_allowed_now", state="active")
    return judge(wire.last("disconnect", 2).last("disconnect", 1).evidence(1, 2), RUN, extra)


def test_the_page_shows_each_link_as_set_and_as_measured():
    figure = LinkFigure(
        client="client-1",
        direction="down",
        figure="loss %",
        configured="5",
        measured="4.1 to 6.2",
        problem="too <little>",
    )
    network = Network(profile="lossy-5", description="Five in a hundred", figures=[figure])
    page = html(msgspec.structs.replace(report(), network=network))
    assert "The network between them: lossy-5" in page
    assert "4.1 to 6.2" in page
    assert "too &lt;little&gt;" in page
    assert "The network between them" not in html(report())


def test_the_page_says_which_links_were_measured_twice():
    once = LinkFigure(client="client-1", direction="down", figure="loss %", configured="5", measured="4.1 to 6.2")
    twice = msgspec.structs.replace(once, direction="up", first_problem="loss <9 %>")

    def page(*figures: LinkFigure) -> str:
        return html(msgspec.structs.replace(report(), network=Network(profile="lossy-5", figures=list(figures))))

    assert "measured twice" not in page(once)
    assert "1 direction was measured twice" in page(once, twice)
    assert "2 directions were measured twice" in page(twice, twice)
    assert "measured again, the first time: loss &lt;9 %&gt;" in page(once, twice)


def test_the_account_names_damage_only_where_there_is_some():
    clean = report()
    assert "damaged" not in account(clean)
    damaged = msgspec.structs.replace(clean, balance=msgspec.structs.replace(clean.balance, damaged_on_link=3))
    assert "+ damaged 3 +" in account(damaged)


UNSUPPORTED = Check(name="netem", verdict=Verdict.UNSUPPORTED, subject="run", detail="no sch_netem & no lab kernel")
BROKEN = Check(name="capture", verdict=Verdict.ERROR, subject="client-9", detail="cut off")


def test_the_json_holds_what_the_readme_promises(tmp_path: Path):
    written = report()
    json_path, *_ = write_report(written, tmp_path / "new" / "run")
    assert read_report(json_path) == written
    raw = msgspec.json.decode(json_path.read_bytes())
    assert {"verdict", "run", "engine", "clients", "balance"} <= raw.keys()
    assert raw["clients"][0].keys() >= CLIENT_FIELDS
    assert raw["balance"].keys() == BALANCE_FIELDS


def test_trouble_is_sorted_by_weight():
    assert [check.verdict for check in trouble(report(leaking=True, extra=(UNSUPPORTED, BROKEN)))] == [
        Verdict.ERROR,
        Verdict.FAIL,
        Verdict.UNSUPPORTED,
    ]


def test_junit_counts_each_verdict():
    written = report(leaking=True, extra=(UNSUPPORTED, BROKEN))
    document = JUnitXml.fromstring(junit(written))
    (suite,) = document
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(written.checks), 1, 1, 1)
    failed = next(case for case in suite if case.name == "promise" and case.classname == "flumelab.client-2")
    assert "25 while_interrupted" in failed.result[0].message


def test_the_table_has_a_row_for_each_client():
    output = io.StringIO()
    Console(file=output, width=120).print(table(report(leaking=True)))
    text = output.getvalue()
    (row,) = (line for line in text.splitlines() if "client-2" in line)
    assert re.search(r"connect interrupt continue.*100 .* 25 .* FAIL", row)
    assert "unexplained 0" in account(report(leaking=True))


def test_a_client_that_only_counts_datagrams_is_not_shown_as_one_that_missed_all_frames():
    judged = report()
    shown = msgspec.structs.replace(judged.clients[0], player="headless", frames_displayed=7, frames_due=9)
    counting = msgspec.structs.replace(judged.clients[1], player="none", frames_displayed=0, frames_due=9)
    judged = msgspec.structs.replace(judged, clients=type(judged.clients)((shown, counting)))
    output = io.StringIO()
    Console(file=output, width=120).print(table(judged))
    for text in (output.getvalue(), re.sub(r"\s+", "", html(judged))):
        assert re.search(r"7\s*/\s*9", text)
        assert not re.search(r"\b0\s*/\s*9", text)


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"the report cannot be written to .*file/run: Not a directory"):
        write_report(report(), tmp_path / "file" / "run")


def test_what_is_no_report_is_one_clear_line(tmp_path: Path):
    with pytest.raises(LabError, match="no report at"):
        read_report(tmp_path / "report.json")
    for content in (b'{"verdict":"PERHAPS"}', b'{"verdict":"\xff"}', b'{"other":' + 5000 * b"["):
        (tmp_path / "report.json").write_bytes(content)
        with pytest.raises(LabError, match="is not a report of this version"):
            read_report(tmp_path / "report.json")


def test_a_report_of_a_newer_version_is_one_clear_line(tmp_path: Path):
    (tmp_path / "report.json").write_bytes(b'{"version":7,"what":"nobody knows yet"}')
    with pytest.raises(LabError, match=r"of version 7, and this flumelab reads version 1: use a newer"):
        read_report(tmp_path / "report.json")


def test_a_report_of_an_older_version_is_read_and_shown_without_measures(tmp_path: Path):
    json_path, *_ = write_report(report(), tmp_path)
    older = msgspec.json.decode(json_path.read_bytes())
    for client in older["clients"]:
        del client["measures"], client["program"]
    del older["network"], older["balance"]["dropped_by_backlog"]
    json_path.write_bytes(msgspec.json.encode(older))
    page = write_page(tmp_path).read_text()
    assert page.count("were not measured in this run") == 2
    assert "client 1 lost nothing" in page


def test_each_client_is_named_with_its_program_and_ours_only_where_there_is_another():
    plain = report()
    first, second = plain.clients
    mixed = msgspec.structs.replace(plain, clients=[first, msgspec.structs.replace(second, program="mpv:tcp")])
    assert "mpv:tcp" in html(mixed)
    (suite,) = JUnitXml.fromstring(junit(mixed))
    assert {one.name: one.value for one in suite.properties()} == {"client-1": "flume", "client-2": "mpv:tcp"}
    shown = io.StringIO()
    Console(file=shown, width=120).print(table(mixed))
    assert "program" in shown.getvalue()
    assert "mpv:tcp" in shown.getvalue()
    Console(file=(without := io.StringIO()), width=120).print(table(plain))
    assert "program" not in without.getvalue()
