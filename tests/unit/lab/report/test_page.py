"""The page: whole, sealed, small, and with all that a report holds. How it looks and acts, a browser tests."""

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from flume.lab.report.columns import chart_data, columns_for
from flume.lab.report.embedded import MOST_BYTES, Album
from flume.lab.report.page import html
from flume.lab.trial.verdict import Check, Verdict
from support.pages.pictures import png, write_pictures
from support.pages.sample import a_client, a_report, clients, long_report, quality, streamed
from support.paths import ROOT, SERVICES

VENDORED = SERVICES / "flume" / "lab" / "report" / "vendored"


class _Page(HTMLParser):
    """Collects what a page would load, and checks that its elements are closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.referred: list[str] = []
        self.policy = ""
        self.handlers: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        self.ids += [value for name, value in attrs if name == "id" and value]
        names = ("aria-labelledby", "aria-describedby", "aria-details", "aria-controls", "for")
        self.referred += [value for name, value in attrs if name in names and value]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def inline(text: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def data_of(text: str) -> list[dict]:
    return [json.loads(found) for found in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path):
    write_pictures(tmp_path)
    text = html(a_report(), tmp_path)
    page = _Page(text)
    assert page.open == []
    inside = {load[1:] for load in page.loads if load.startswith("#")}
    assert {load.partition(",")[0] for load in page.loads} - {f"#{name}" for name in inside} == {
        "data:",
        "data:image/png;base64",
    }
    assert inside <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.referred) <= set(page.ids)
    assert page.handlers == [], "the policy would not run them"


def test_the_policy_allows_this_program_and_style_and_nothing_else():
    text = html(a_report())
    policy = dict(part.strip().split(" ", 1) for part in _Page(text).policy.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(inline(text, tag).encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"


def test_texts_of_a_report_cannot_end_the_data_or_become_elements():
    bad = "</script><script>alert(1)</script><!--"
    client = a_client(1, name=bad, address=bad, program=bad, player=bad)
    check = Check(name=bad, verdict=Verdict.FAIL, subject=bad, detail=bad)
    text = html(a_report([client], checks=[check], run=bad))
    assert "<script>alert" not in text
    assert _Page(text).open == []
    assert data_of(text)[0]["name"] == bad


def test_the_page_contains_the_licence_of_what_it_contains():
    text = html(a_report())
    assert "Copyright (c) 2022 Leon Sorokin" in text
    assert text.index("Permission is hereby granted") < text.index("var uPlot=function")


@pytest.mark.parametrize("vendored", [VENDORED, ROOT / "tests" / "support" / "pages" / "vendored"])
def test_the_vendored_files_are_those_that_are_noted(vendored: Path):
    table = (vendored / "README.md").read_text()
    noted = dict(re.findall(r"^\| `(\S+)` \|.*`([0-9a-f]{64})` \|$", table, re.MULTILINE))
    files = {path.relative_to(vendored).as_posix(): path for path in vendored.rglob("*") if path.is_file()}
    del files["README.md"]
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == noted


def test_fifty_clients_for_an_hour_with_pictures_stay_below_five_megabytes(tmp_path: Path):
    frame = png() + b"\0" * 100_000
    (tmp_path / "frame.png").write_bytes(frame)
    report = long_report()
    pictures = quality("frame.png", "frame.png")
    measured = [msgspec.structs.replace(one.measures, pictures=pictures) for one in report.clients]
    found = [msgspec.structs.replace(one, measures=m) for one, m in zip(report.clients, measured, strict=True)]
    text = html(msgspec.structs.replace(report, clients=found), tmp_path)
    assert len(text.encode()) < 5_000_000
    assert text.count("data:image/png") == MOST_BYTES // len(frame), "as many as there is room for"
    assert "the page would become too large; it is beside the report" in text
    assert text.count(" open>") < 5, "the browser draws what is open"


def test_what_did_not_pass_comes_first_the_worst_at_its_top():
    def page(*checks: Check) -> str:
        return html(a_report(checks=list(checks)))

    failed = Check(name="promise", verdict=Verdict.FAIL, subject="client-2", detail="25 while_interrupted")
    broken = Check(name="capture", verdict=Verdict.ERROR, subject="client-9", detail="cut off")
    passed = Check(name="clock", verdict=Verdict.PASS, subject="client-1", detail="fine")
    good, bad = page(passed), page(failed, passed, broken)
    assert "What did not pass" not in good
    assert "docs/judge.md" not in good
    assert bad.index("client-9, capture") < bad.index("client-2, promise") < bad.index('id="clients"')
    assert "docs/judge.md" in bad


def test_the_pictures_of_the_worst_moment_are_in_the_page_and_a_missing_one_is_said(tmp_path: Path):
    write_pictures(tmp_path)
    (tmp_path / "pictures" / "client-3-shown.png").unlink()
    text = html(a_report(), tmp_path)
    assert text.count("data:image/png;base64,") == 1
    assert "No picture: pictures/client-3-shown.png: there is no such file" in text
    nothing = streamed(1, [(0.4, 60.0)], pictures=quality("pictures/client-3-sent.png"))
    assert "No picture: nothing could be decoded" in html(a_report([nothing]), tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../secret.png", "outside"),
        ("/etc/passwd", "outside"),
        ("link.png", "outside"),
        ("text.png", "no PNG, JPEG or WebP"),
        ("wave.webp", "no PNG, JPEG or WebP"),
        ("absent.png", "no such file"),
        ("pipe", "no such file"),
        ("", "no such file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_a_name_that_is_no_picture_of_the_report_is_said_and_not_shown(tmp_path: Path, name: str, problem: str):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png(4, 4))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "text.png").write_text("<svg onload=alert(1)>")
    (folder / "wave.webp").write_bytes(b"RIFF\0\0\0\0WAVE")
    os.mkfifo(folder / "pipe")
    picture = Album(folder).picture_untrusted(name)
    assert picture.uri is None
    assert problem in (picture.problem or "")


def test_pictures_of_each_kind_are_known_by_their_first_bytes(tmp_path: Path):
    contents = {"png": png(2, 2), "jpeg": b"\xff\xd8\xff\xe0rest", "webp": b"RIFF\0\0\0\0WEBPVP8 "}
    for kind, content in contents.items():
        (tmp_path / kind).write_bytes(content)
        assert (Album(tmp_path).picture_untrusted(kind).uri or "").startswith(f"data:image/{kind};base64,")
    assert Album(None).picture_untrusted("png").problem == "the page was made without its folder"


def test_a_client_whose_time_line_is_not_open_is_opened_first_if_it_did_not_pass():
    many = [a_client(n) for n in range(1, 11)]
    assert html(a_report(many)).count('class="client" id="client-1" open') == 1
    many[6] = msgspec.structs.replace(many[6], verdict=Verdict.FAIL)
    text = html(a_report(many))
    assert re.findall(r'id="(client-\d+)" open', text) == ["client-7"]


def test_an_hour_in_fewer_columns_adds_up_to_the_same_sums():
    [client] = long_report(count=1, duration_s=3600.0).clients
    found = chart_data(client, 3600.0, columns_for(50))["charts"]
    series = client.measures.series
    assert series is not None
    assert sum(found["lost"]["lines"]["link"]) == sum(series.lost_link)
    assert sum(found["shown"]["lines"]["shown"]) == sum(series.shown)
    assert found["lost"]["bin"] == 5.0
    assert max(value for value in found["delay"]["lines"]["delay"] if value) == max(v for v in series.delay_ms if v)


def test_the_interval_table_of_each_client_has_the_sums_of_its_time_line():
    lossy = clients()[2]
    text = html(a_report([lossy]))
    cells = re.findall(r'data-label="Lost: link">([\d ]+)<', text)
    assert lossy.measures.series is not None
    assert sum(int(cell.replace(" ", "")) for cell in cells) == sum(lossy.measures.series.lost_link)
    assert "at 12.30 s for 0.60 s; at 30.90 s for 1.20 s" in re.sub(r"\s+", " ", text)
