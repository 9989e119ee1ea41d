"""The report as a page: one file that loads nothing, with its own programs, styles, numbers and pictures inside.

Its content security policy allows this very program and style, by their digests, and pictures that are in the page.
Whatever a report has in its texts, the browser runs nothing else and asks no other computer for anything.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup

from flume.lab.report.columns import chart_data, columns_for
from flume.lab.report.embedded import Album, Picture
from flume.lab.report.figures import Group, groups
from flume.lab.report.intervals import Interval, intervals
from flume.lab.report.pages import template
from flume.lab.report.sentences import client_sentence, display_name, run_sentence
from flume.lab.trial.verdict import Balance, Check, ClientReport, Report, Verdict

_FOLDER = Path(__file__).parent
_UPLOT = _FOLDER / "vendored" / "uplot-1.6.32"
_SCRIPTS = ("theme", "view", "paint", "panels", "timeline", "page")
"""Modules in ``scripts``, in the order in which they need each other."""
_OPEN_CLIENTS = 6
"""Up to so many clients the page shows every time line at once; of more, that of the first that did not pass."""
_MOST_FREEZES = 100


class _ClientPart(NamedTuple):
    """What the template shows of one client."""

    client: ClientReport
    anchor: str
    title: str
    sentence: str
    is_open: bool
    groups: list[Group]
    intervals: list[Interval]
    sent_picture: Picture | None
    shown_picture: Picture | None
    data: Markup


class _Hop(NamedTuple):
    """The clients of one server."""

    server: str
    parts: list[_ClientPart]
    balance: Balance | None
    """Of all of them; None where there is one server."""


def html(report: Report, folder: Path | None = None) -> str:
    """Return the page of *report*; its pictures are read from *folder*, the report's own."""
    style, script, parts = _style(), _script(), _parts(report, folder)
    return template(_FOLDER / "templates", "report.html.j2").render(
        report=report,
        sentence=kept_together(run_sentence(report)),
        clients=parts,
        hops=_hops(report, parts),
        trouble=trouble(report),
        most_freezes=_MOST_FREEZES,
        style=Markup(style),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - files of ours
        policy=_policy(style, script),
    )


def trouble(report: Report) -> list[Check]:
    """Return the checks that did not pass, the worst first."""
    order = list(Verdict)
    return sorted((c for c in report.checks if c.verdict is not Verdict.PASS), key=lambda c: -order.index(c.verdict))


def kept_together(sentence: str) -> str:
    """Return *sentence* with its numbers bound to what follows them: a line must not begin with the unit.

    >>> kept_together("lost 4.9 % of 1 500 in 3 s")
    'lost 4.9\\xa0% of 1\\xa0500 in 3\\xa0s'
    """
    return re.sub(r"(?<=\d) (?=%|(?:m?s|min)\b|\d)", "\u00a0", sentence)


def _parts(report: Report, folder: Path | None) -> list[_ClientPart]:
    columns = columns_for(len(report.clients))
    pictures = _pictures(report, Album(folder))
    opened = _open(report)
    return [
        _ClientPart(
            client=client,
            anchor=f"client-{position + 1}",
            title=display_name(client.name),
            sentence=kept_together(client_sentence(client, report.checks)),
            is_open=position in opened,
            groups=groups(client.measures),
            intervals=intervals(client, report.duration_s),
            sent_picture=pictures[position][0],
            shown_picture=pictures[position][1],
            data=_json(chart_data(client, report.duration_s, columns)),
        )
        for position, client in enumerate(report.clients)
    ]


def _hops(report: Report, parts: Iterable[_ClientPart]) -> list[_Hop]:
    """Return *parts* by their servers, in the order of the report."""
    found: dict[str, list[_ClientPart]] = {}
    for part in parts:
        found.setdefault(part.client.server, []).append(part)
    return [_Hop(server, mine, report.balances.get(server)) for server, mine in found.items()]


def _open(report: Report) -> set[int]:
    """Return the positions of the clients whose time lines are open at first."""
    if len(report.clients) <= _OPEN_CLIENTS:
        return set(range(len(report.clients)))
    failed = [n for n, client in enumerate(report.clients) if client.verdict is not Verdict.PASS]
    return {failed[0] if failed else 0}


def _pictures(report: Report, album: Album) -> dict[int, tuple[Picture | None, Picture | None]]:
    """Return the pictures of each client by its position. The worst come first, as long as the page has room."""

    def least(position: int) -> float:
        figures = report.clients[position].measures.pictures
        return figures.vmaf.least if figures is not None and figures.vmaf is not None else 101.0

    found: dict[int, tuple[Picture | None, Picture | None]] = {}
    for position in sorted(range(len(report.clients)), key=least):
        figures = report.clients[position].measures.pictures
        names = (None, None) if figures is None else (figures.worst_sent, figures.worst_shown)
        sent, shown = (None if name is None else album.picture_untrusted(name) for name in names)
        found[position] = (sent, shown)
    return found


def _json(value: Any) -> Markup:
    """Return *value* as JSON that no text in it can end: in a script element only ``<`` could."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c"))  # noqa: S704 - escaped


@cache
def page_style() -> str:
    """Return our own rules, for pages of a family: colours, text, tables that become cards on a narrow screen."""
    return (_FOLDER / "styles" / "page.css").read_text("utf-8")


@cache
def _style() -> str:
    """Return all rules of the page: those of uPlot, then ours."""
    return f"{(_UPLOT / 'uPlot.min.css').read_text('utf-8')}\n{page_style()}"


@cache
def _script() -> str:
    """Return the page's program: uPlot, with its licence, then our modules in one strict function."""
    licence = (_UPLOT / "LICENSE").read_text("utf-8")
    ours = "\n".join((_FOLDER / "scripts" / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    library = (_UPLOT / "uPlot.iife.min.js").read_text("utf-8")
    return f'/*! uPlot 1.6.32\n{licence}*/\n{library}\n(() => {{\n"use strict";\n{ours}\n}})();\n'


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
