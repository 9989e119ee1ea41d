"""The report as JSON, page, table and JUnit XML: what they say, and that they can be read."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from junitparser import JUnitXml
from rich.console import Console

from flume.errors import LabError
from flume.lab.report.timeline import HEIGHT, MOST_COLUMNS, WIDTH, draw, ticks
from flume.lab.report.writer import account, html, junit, read_report, table, trouble, write_report
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
    assert "1 directions were measured twice" in page(once, twice)
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


class _Page(HTMLParser):
    """Collects what a page would load, and checks that its elements are closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing():
    page = _Page()
    text = html(report(leaking=True))
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.loads == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2
    assert "url(" not in text
    assert "Docker &lt;20.10&gt;" in text
    assert text.count('role="img"') == 2
    assert "25 while_interrupted" in text


def test_the_page_names_trouble_first():
    good = html(report())
    assert "What did not pass" not in good
    assert "docs/judge.md" not in good
    bad = html(report(leaking=True, extra=(BROKEN,)))
    listed = bad[bad.index("What did not pass") : bad.index('id="clients"')]
    assert listed.index("client-9, capture") < listed.index("client-2, promise")
    assert listed.index("client-2, promise") < listed.index("docs/judge.md")


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


def test_the_drawing_stays_on_its_canvas():
    written = report(leaking=True)
    for client in written.clients:
        drawing = draw(client, written.duration_s)
        for bar in drawing.windows:
            assert bar.x >= 0
            assert bar.x + bar.width <= WIDTH + 1
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)", drawing.sent + drawing.leaked):
            assert 0 <= float(x) <= WIDTH
            assert float(y) <= HEIGHT
        for label in drawing.labels:
            width = 6.4 * len(label.text)
            assert label.text_x - (width if label.anchor == "end" else 0) >= 0
    assert any(label.refused and "✗" in label.text for label in draw(written.clients[1], written.duration_s).labels)


def test_an_hour_is_drawn_in_a_bounded_number_of_columns():
    client = report().clients[0]
    hour = msgspec.structs.replace(client, timeline=msgspec.structs.replace(client.timeline, sent=[40] * 36000))
    drawing = draw(hour, 3600)
    assert drawing.sent.count("M") <= MOST_COLUMNS
    assert drawing.peak_per_s == pytest.approx(400)


@pytest.mark.parametrize("duration_s", [0.05, 1.0, 13.8, 60.0, 3600.0, 86400.0])
def test_the_axis_has_round_marks(duration_s: float):
    marks = ticks(duration_s)
    assert 1 <= len(marks) <= 25
    assert all(0 <= mark.x <= WIDTH for mark in marks)


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
