"""What a study shows: intervals, differences, the page and the tables beside it."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from flume.lab.run.spec import RunSpec
from flume.lab.study.matrix import Study
from flume.lab.study.page import HTML_NAME, INTERVALS_NAME, RUNS_NAME, html, write_page
from flume.lab.study.results import Results, client_runs_csv, intervals_csv, results
from flume.lab.trial.figures import FIGURES
from flume.lab.trial.verdict import Report
from support.report_values import network
from support.studies import STUDY, FakeLab, usual_report

SIX = replace(STUDY, clients=3)
"""Two runs of three clients: enough client-runs for an interval."""


def found(folder: Path, lab: FakeLab | None = None, study: Study = SIX) -> Results:
    lab = lab or FakeLab()
    conductor = lab.conductor(folder, study)
    conductor.begin(resume=False)
    conductor.conduct(lab.run_one)
    return results(conductor.state, folder)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_unit_is_the_client_run(tmp_path):
    clean, lossy = found(tmp_path).cells
    assert (clean.counted, clean.client_runs) == (2, 6)
    loss = lossy.intervals["loss_pct"]
    assert loss is not None
    assert loss.size == 6
    assert loss.mean == pytest.approx(1.15)
    assert clean.intervals["loss_pct"] == (6, 0.0, 0.0, 0.0)
    assert clean.intervals["xpsnr_db"] is None, "nothing measured it"


def test_figures_differ_where_intervals_have_nothing_in_common(tmp_path):
    (pair,) = found(tmp_path).pairs
    assert (pair.a, pair.b) == ("clean", "lossy-1")
    assert pair.figures["loss_pct"] == "lower"
    assert pair.figures["vmaf"] == "higher"
    assert pair.figures["delay_p50_ms"] == "", "no difference shown"


class Page(HTMLParser):
    """The elements of a page, whether they are closed in order, and its text."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(name))]


def test_the_page_shows_each_value_with_its_interval_and_what_it_differs_in(tmp_path):
    page = Page(html(found(tmp_path)))
    words = page.words()
    assert "Two <networks>" in words
    assert "2 cells, 2 runs each with 3 clients; scenario study. 4 of 4 runs count." in words
    assert "1.15" in words
    assert "1.10 to 1.20" in words
    assert "worse than clean" in words
    assert "no difference shown" in words
    assert ".venv/bin/flume lab run --clients 3 --scenario study --profile lossy-1 --transport udp" in words
    assert "Higher here: loss" in words
    assert "one client in one run" in words, "the unit of resampling"


def test_the_page_has_under_each_cell_its_runs_and_the_network_as_configured_and_as_measured(tmp_path):
    page = Page(html(found(tmp_path)))
    assert "0.9 (0.5 to 1.4)" in page.words()
    links = page.attributes("href")
    assert "lossy-1-udp-reorder60-4000k-gop1/run-2/report.html" in links
    anchors = {value[1:] for value in links if value.startswith("#")}
    assert anchors <= set(page.attributes("id"))


def test_the_page_loads_nothing_and_runs_nothing(tmp_path):
    page = Page(html(found(tmp_path)))
    assert not [tag for tag, _ in page.elements if tag in {"script", "img", "iframe"}]
    assert [attrs for tag, attrs in page.elements if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert not [value for value in (*page.attributes("src"), *page.attributes("href")) if "//" in value]
    assert "url(" not in html(found(tmp_path / "again"))
    (policy,) = [attrs["content"] for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs]
    assert "default-src 'none'" in str(policy)


def test_the_page_can_be_read_by_a_screen_reader_and_by_the_keyboard(tmp_path):
    page = Page(html(found(tmp_path)))
    assert ("html", {"lang": "en"}) in page.elements
    headings = [tag for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
    assert headings[:2] == ["h1", "h2"]
    assert headings.count("h1") == 1
    assert all("scope" in attrs for tag, attrs in page.elements if tag == "th")
    regions = [attrs for _, attrs in page.elements if attrs.get("class") == "scroll"]
    assert all(one.get("tabindex") == "0" and (one.get("aria-label") or one.get("aria-labelledby")) for one in regions)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def test_a_run_that_does_not_count_is_shown_with_its_reason_and_is_no_part_of_an_interval(tmp_path):
    def once_busy(spec: RunSpec, number: int) -> Report:
        made = usual_report(spec, number)
        return replace(made, network=network(problem="<9 %>")) if number == 2 else made

    shown = found(tmp_path, FakeLab(once_busy))
    assert shown.cells[1].client_runs == 6
    assert (shown.finished, shown.planned) == (4, 4)
    words = Page(html(shown)).words()
    assert "no : the link of client-2 (down) was out of tolerance: <9 %>" in words
    assert "1, repeated" in words


def test_a_study_that_was_interrupted_says_what_is_missing(tmp_path):
    lab = FakeLab(lambda spec, number: KeyboardInterrupt() if number == 2 else usual_report(spec, number))
    conductor = lab.conductor(tmp_path)
    conductor.begin(resume=False)
    with pytest.raises(KeyboardInterrupt):
        conductor.conduct(lab.run_one)
    words = Page(html(results(conductor.state, tmp_path))).words()
    assert "The study was interrupted. 3 of 4 runs are missing here" in words
    assert "None yet." in words


def test_a_study_without_a_run_has_a_page_all_the_same(tmp_path):
    conductor = FakeLab().conductor(tmp_path)
    conductor.begin(resume=False)
    assert "No run counts yet" in Page(html(results(conductor.state, tmp_path))).words()


def test_a_report_that_was_removed_costs_its_run_and_says_so(tmp_path):
    found(tmp_path, study=STUDY)
    (tmp_path / "clean-udp-reorder60-4000k-gop1" / "run-1" / "report.json").unlink()
    conductor = FakeLab().conductor(tmp_path)
    conductor.begin(resume=True)
    shown = results(conductor.state, tmp_path)
    assert (shown.cells[0].client_runs, shown.finished) == (2, 3)
    assert "no report at" in Page(html(shown)).words()


def test_the_tables_hold_every_client_run_and_every_interval(tmp_path):
    shown = found(tmp_path)
    data = rows(client_runs_csv(shown))
    assert len(data) == 12
    assert set(FIGURES) <= set(data[0])
    assert {(row["profile"], row["client"], row["counts"]) for row in data} == {
        (profile, client, "yes") for profile in ("clean", "lossy-1") for client in ("client-1", "client-2", "client-3")
    }
    assert sorted(float(row["loss_pct"]) for row in data if row["profile"] == "lossy-1") == [
        1.1,
        1.1,
        1.1,
        1.2,
        1.2,
        1.2,
    ]
    (loss,) = [row for row in rows(intervals_csv(shown)) if (row["profile"], row["figure"]) == ("lossy-1", "loss_pct")]
    assert (loss["client_runs"], loss["unit"]) == ("6", "%")
    assert float(loss["mean"]) == pytest.approx(1.15)
    assert float(loss["low"]) < 1.15 < float(loss["high"])


def test_too_few_runs_have_means_and_no_intervals_and_do_not_differ(tmp_path):
    shown = found(tmp_path, study=STUDY)
    assert shown.cells[1].client_runs == 4
    assert {pair.figures["loss_pct"] for pair in shown.pairs} == {None}
    (loss,) = [row for row in rows(intervals_csv(shown)) if (row["profile"], row["figure"]) == ("lossy-1", "loss_pct")]
    assert (loss["client_runs"], loss["low"], loss["high"]) == ("4", "", "")
    table = Page(html(shown)).words().partition("Figure")[2]
    assert "1.15 too few runs" in table
    assert "no difference shown" not in table
    assert "than clean" not in table


def test_page_and_tables_are_written_side_by_side(tmp_path):
    folder = tmp_path / "study-mine"
    assert write_page(found(folder), folder) == folder / HTML_NAME
    assert {HTML_NAME, RUNS_NAME, INTERVALS_NAME} < {path.name for path in folder.iterdir()}
    assert (folder / HTML_NAME).stat().st_size < 5_000_000
