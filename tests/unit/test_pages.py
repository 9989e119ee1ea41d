"""The pages say what the code says: links and paths lead somewhere, names exist, tables are those of the code."""

import importlib
import inspect
import re

import pytest

from flume.client.statistics import ClientStatistics
from flume.control import table as states
from flume.control.messages import IDLE, TOKEN_LATE, ClientCounters, ServerStatus
from flume.control.session import Signal
from flume.server.sources.ingest import OWN_COUNTS, SHOWN_STATISTICS
from support.paths import ROOT

FLUME = ROOT / "services" / "flume"
_FOLDERS = ("docs", "examples", "services", "compose", "netem", "tests")
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in _FOLDERS))
    for page in ROOT.glob(pattern)
)
NAMES_OF_LINUX = {"InCsumErrors", "RcvbufErrors"}
"""Counters of the kernel that are written like classes."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the names of the headings of *text*, as pages on the web are given them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def column(page: str, heading: str) -> list[str]:
    """Return what is in backticks in the first column of the tables below *heading*."""
    _, _, rest = text_of(page).partition(f"\n## {heading}")
    assert rest, f"{page} has no heading that begins with {heading!r}"
    cells = re.findall(r"^\| (`.*?) \|", rest.partition("\n## ")[0], re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def source_text(*folders: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for folder in folders for path in sorted((FLUME / folder).rglob("*.py"))
    )


def class_names() -> set[str]:
    paths = [path for folder in ("services", "tests") for path in (ROOT / folder).rglob("*.py")]
    return {name for path in paths for name in re.findall(r"^\s*class (\w+)", path.read_text("utf-8"), re.MULTILINE)}


def test_the_pages_are_there():
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "services/README.md",
        "compose/README.md",
        "netem/README.md",
        "docs/architecture.md",
        "docs/counters.md",
        "docs/doctor.md",
        "docs/figures.md",
        "docs/first-change.md",
        "docs/glossary.md",
        "docs/judge.md",
        "docs/protocol.md",
    } <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_the_pages_link_to_exists(page: str):
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)) if "://" not in target]
    assert targets or page != "README.md"
    for target in targets:
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_the_pages_name_exists(page: str):
    """A path may begin at the top, at ``services``, at the package, at the tests, or beside the page."""
    found = re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|toml|md|yaml|sh|c|lock|in|txt))`", text_of(page))
    begins = [ROOT, ROOT / "services", FLUME, ROOT / "tests", (ROOT / page).parent, ROOT / "compose", ROOT / "netem"]
    for path in found:
        assert any((begin / path).exists() for begin in begins), f"{page}: {path}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_module_and_class_that_the_pages_name_exists(page: str):
    """What an older version had may stand in the changelog, nowhere else."""
    named = set(re.findall(r"`(?:python -m )?(flume(?:\.\w+)+|support(?:\.\w+)+)", text_of(page)))
    for module in named:
        folder = ROOT / ("services" if module.startswith("flume") else "tests") / module.replace(".", "/")
        assert folder.is_dir() or folder.with_suffix(".py").is_file(), f"{page}: {module}"
    classes = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:\.\w+)?(?:\(\))?`", text_of(page)))
    assert classes <= class_names() | NAMES_OF_LINUX, page


def test_every_target_of_make_that_the_pages_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        code = re.findall(r"`make ([a-z-]+)", text_of(page)) + re.findall(
            r"^make ([a-z-]+)", text_of(page), re.MULTILINE
        )
        assert set(code) <= targets, page


def test_the_table_of_states_is_that_of_the_session():
    text = text_of("docs/protocol.md")
    assert states.PART.replaced(text, states.state_table()) == text, "make docs writes it"


def test_every_code_of_the_protocol_is_explained_and_no_other():
    code = source_text("server") + (FLUME / "control" / "codec.py").read_text(encoding="utf-8")
    used = set(re.findall(r'(?:\b(?:refuse|notice|goodbye)|RemoteProtocolError)\(\s*(?:\w+, )?"(\w+)"', code))
    used |= set(re.findall(r'\bcode=?(?:: \w+)? ?= ?"(\w+)"', code))
    known = set(column("docs/protocol.md", "Codes"))
    assert used <= known, "a code that the page does not explain"
    assert known <= used | {str(signal) for signal in Signal} | {IDLE, TOKEN_LATE} | set(re.findall(r'"(\w+)"', code))


def test_every_drop_and_fallback_of_the_server_is_explained():
    code = source_text("server/sending", "server/sessions")
    drops = set(re.findall(r'(?:_drop\(\w+, |counts\[)f?"(\w+)', code)) - {"send_", "ticks", "late_ticks"}
    assert drops >= {"send_buffer_full", "port_unreachable", "overwritten", "tcp_behind", "unknown_token"}
    assert drops == {name for name in column("docs/counters.md", "Drops") if "<" not in name}
    families = {re.sub(r"\{.*", "", name) for name in re.findall(r'f"(\w+_\{[^"]*)"', code)}
    assert families == {"send_", "segmentation_", "io_uring_"}, "the page explains these"


def test_every_refusal_is_explained():
    code = source_text("server/fronts", "server/sessions", "server/limits")
    named = set(re.findall(r'refused\["(\w+)"\]', code)) | set(re.findall(r'_or_refuse\([^"]*"(\w+)"', code))
    assert named == set(column("docs/counters.md", "Refused"))


def test_every_fault_of_a_source_is_explained():
    assert set(column("docs/counters.md", "Source counts")) == {*SHOWN_STATISTICS, *OWN_COUNTS, "stalls"}


def test_the_keys_of_status_that_the_page_names_exist():
    named = re.findall(r"`(session|server)\.(\w+)`", text_of("docs/counters.md"))
    kinds = {"session": ClientCounters, "server": ServerStatus}
    assert named
    for where, name in named:
        assert name in kinds[where].__struct_fields__, f"{where}.{name}"


def test_the_counters_of_a_client_that_the_page_names_exist():
    assert set(column("docs/counters.md", "What a client counts")) <= set(ClientStatistics.__struct_fields__)


def test_the_first_change_can_be_made():
    """The lines that it finds, removes or adds beside stand in the files that it names, in that order."""
    text = text_of("docs/first-change.md")
    steps = re.findall(r"^`(\S+)`\n((?:```diff\n.*?^```\n)+)", text, re.MULTILINE | re.DOTALL)
    assert len(steps) >= 7
    for path, blocks in steps:
        code = (ROOT / path).read_text(encoding="utf-8")
        for block in re.findall(r"^```diff\n(.*?)^```", blocks, re.MULTILINE | re.DOTALL):
            before = "".join(line[1:] for line in block.splitlines(keepends=True) if line[0] != "+")
            assert code.count(before) == 1, f"{path}:\n{before}"


def test_the_architecture_is_short_and_names_every_folder():
    text = text_of("docs/architecture.md")
    assert len(text.split()) <= 1400
    packages = [*FLUME.glob("*/__init__.py"), *FLUME.glob("*/*/__init__.py")]
    folders = {path.parent.name for path in packages}
    assert [name for name in sorted(folders) if not re.search(rf"\b{name}/", text)] == []


def test_the_glossary_has_the_words_that_are_our_own():
    own = "consent,roster,ring,live edge,ingest,fan-out,tick,promise,fleet,tap,evidence,facts,claim,judge,verdict,trial"
    own += ",scenario,part,cue,leg,doctor,splicer,doorbell,delivery window"
    terms = re.findall(r"^\| ([^|]+) \|", text_of("docs/glossary.md"), re.MULTILINE)
    assert set(own.split(",")) <= {term for terms_of_row in terms for term in terms_of_row.split(", ")}
    assert [term for term in terms if terms.count(term) > 1] == ["term", "term"]


def test_the_page_of_services_is_a_page():
    assert len(text_of("services/README.md").splitlines()) <= 10


def test_every_thread_of_the_programs_is_in_the_architecture():
    named = set(re.findall(r'Thread\(.*name="([\w-]+)"', source_text("server", "client")))
    explained = set(re.findall(r"`(flume-[\w-]+|fanout|ingest)`", text_of("docs/architecture.md")))
    assert named - {"flume-vlc-stop"} == explained


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/") or page == "CONTRIBUTING.md"])
def test_every_page_says_for_whom_it_is_and_no_table_row_is_broken(page: str):
    text = text_of(page)
    if "/decisions/0" not in page:
        assert re.search(r"^\*For (the|all)", text, re.MULTILINE), "its reader"
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_every_decision_is_in_the_list():
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", text_of("docs/decisions/README.md"))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))


def test_the_modules_that_write_documents_are_those_of_make_docs():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = set(re.findall(r"-m (flume\.[\w.]+)$", text, re.MULTILINE))
    marked = {name for page in PAGES for name in re.findall(r"<!-- \w+: made by `python -m ([\w.]+)`", text_of(page))}
    assert called == marked
    assert all(inspect.isfunction(importlib.import_module(name).main) for name in marked)
