"""Writes a report for programs (JSON), people (HTML, a table on the terminal) and CI systems (JUnit XML)."""

from pathlib import Path

import msgspec
import rich.box
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from rich.table import Table
from rich.text import Text

from flume.errors import LabError
from flume.lab.report.page import html
from flume.lab.report.pages import number, replace_file
from flume.lab.trial.verdict import REPORT_VERSION, ClientReport, Report, Verdict
from flume.untrusted_json import decode_untrusted

JSON_NAME, HTML_NAME, JUNIT_NAME = "report.json", "report.html", "junit.xml"
_STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.UNSUPPORTED: "yellow",
}
_MISSING = "–"


def write_report(report: Report, directory: Path) -> tuple[Path, Path, Path]:
    """Make *directory* and write ``report.json``, ``report.html`` and ``junit.xml`` into it; return their paths.

    Each file is replaced in one step, so that an interrupt leaves the old one or the new one. Raises :class:`LabError`
    when they cannot be written.
    """
    paths = directory / JSON_NAME, directory / HTML_NAME, directory / JUNIT_NAME
    as_json = msgspec.json.format(msgspec.json.encode(report), indent=1)
    contents = as_json, html(report, directory).encode(), junit(report)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents, strict=True):
            replace_file(path, content)
    except OSError as error:
        raise _not_written(directory, error) from error
    return paths


def read_report(path: Path) -> Report:
    """Return the report in the file *path*. One of an older flumelab lacks figures. Raises :class:`LabError`."""
    try:
        content = path.read_bytes()
        version = decode_untrusted(content, _Version).version
        if version != REPORT_VERSION:
            cure = "use a newer flumelab" if version > REPORT_VERSION else "run it again"
            raise LabError(
                f"{path} is a report of version {version}, and this flumelab reads version {REPORT_VERSION}: {cure}"
            )
        return decode_untrusted(content, Report)
    except OSError as error:
        raise LabError(f"no report at {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise LabError(f"{path} is not a report of this version: {error}") from error


class _Version(msgspec.Struct):
    """All that must be there to tell a report of another version from a damaged one."""

    version: int = 1


def write_page(directory: Path) -> Path:
    """Write ``report.html`` in *directory* anew, from ``report.json`` and the pictures there; return its path.

    Raises :class:`LabError` when there is no such report, or when the page cannot be written.
    """
    page, content = directory / HTML_NAME, html(read_report(directory / JSON_NAME), directory)
    try:
        page.write_text(content, encoding="utf-8")
    except OSError as error:
        raise _not_written(directory, error) from error
    return page


def _not_written(directory: Path, error: OSError) -> LabError:
    return LabError(f"the report cannot be written to {directory}: {error.strerror}: make room or choose another")


def junit(report: Report) -> bytes:
    """Return the checks as JUnit XML: a test case each, in one suite. Its class is the check's subject."""
    suite = TestSuite(f"flumelab.{report.run}")
    suite.timestamp = report.started
    for client in report.clients:
        suite.add_property(client.name, client.program)
    for check in report.checks:
        case = TestCase(name=check.name, classname=f"flumelab.{check.subject}")
        match check.verdict:
            case Verdict.FAIL:
                case.result = [Failure(check.detail)]
            case Verdict.ERROR:
                case.result = [Error(check.detail)]
            case Verdict.UNSUPPORTED:
                case.result = [Skipped(check.detail)]
            case Verdict.PASS:
                case.system_out = check.detail
        suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    document = JUnitXml()
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    content: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return content


def _commands(client: ClientReport) -> str:
    seen = [command for command in client.commands if command.command != "status"]
    return " ".join(command.command + ("" if command.answer == "ok" else "✗") for command in seen) or _MISSING


def _frames(client: ClientReport) -> str:
    if client.frames_displayed is None or client.player == "none":
        return _MISSING
    # Some of the frames that a window's end cut may be displayed. 319/316 would look like a miscount: 319/316+3.
    cut = f"+{client.frames_cut}" if client.frames_displayed > client.frames_due else ""
    return f"{client.frames_displayed}/{client.frames_due}{cut}"


def table(report: Report) -> Table:
    """Return the table for the terminal: one row a client, those of one server together."""
    # Without vertical rules it fits into the 80 columns of an ordinary terminal.
    made = Table(
        title=f"{report.run}: {report.duration_s:.1f} s",
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    behind: str | None = None
    made.add_column("client", no_wrap=True)
    names_programs = any(client.program != "flume" for client in report.clients)
    if names_programs:
        made.add_column("program", no_wrap=True)
    made.add_column("commands", min_width=14)
    for header in ("received\nactive", "not\nactive", "lost", "join\nms", "frames\nshown/due"):
        made.add_column(header, justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    servers = list(dict.fromkeys(client.server for client in report.clients))
    for client in sorted(report.clients, key=lambda one: servers.index(one.server)):
        if len(servers) > 1 and client.server != behind:
            made.add_section()
            made.add_row(Text(f"behind {client.server}", style="italic"))
        behind = client.server
        leaked = Text(str(client.datagrams_leaked), style="bold red" if client.datagrams_leaked else "")
        lost = Text(f"{client.datagrams_lost}", style="red" if client.datagrams_lost else "")
        made.add_row(
            client.name,
            *((client.program,) if names_programs else ()),
            _commands(client),
            number(client.datagrams_active),
            leaked,
            lost,
            number(client.join_ms),
            _frames(client),
            Text(client.verdict, style=_STYLES[client.verdict]),
        )
    return made


def host_links(report: Report) -> list[str]:
    """Return a line for each pair of hosts between which datagrams crossed; none where the run had one host.

    Example: ``from h1 to h2: 150 datagrams, 199 200 bytes``.
    """
    return [
        f"from {one.source} to {one.destination}: {number(one.datagrams)} datagrams, {number(one.bytes)} bytes"
        for one in report.host_links
    ]


def account(report: Report) -> str:
    """Return the account of all clients as one line: where every datagram went."""
    b = report.balance
    damaged = f" + damaged {b.damaged_on_link}" if b.damaged_on_link else ""
    backlog = f" + the engine's host {b.dropped_by_backlog}" if b.dropped_by_backlog else ""
    return (
        f"sent {b.sent} = received {b.received} + lost on link {b.lost_on_link}{damaged}"
        f" + firewall {b.dropped_by_firewall}"
        f" + receiver {b.dropped_by_receiver}{backlog} + unexplained {b.unexplained}"
    )
