"""The list of checks in docs/judge.md: made from the judge's own docstrings, and complete."""

import sys
from pathlib import Path

import pytest

from flume.errors import FlumeError
from flume.lab.evidence.bound import Bound
from flume.lab.evidence.facts import Backlog, Counters, Expectations
from flume.lab.report.check_list import PART, check_list, main
from flume.lab.trial.checks.description import described
from flume.lab.trial.checks.registry import CLIENT_CHECKS, FIGURE_CHECKS, RUN_CHECKS
from flume.lab.trial.checks.run import host, link, steps
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import RunFacts, Verdict
from support.captures.relaying import Tree
from support.captures.wire import Wire
from support.paths import ROOT

PAGE = ROOT / "docs" / "judge.md"
NAMES = [*RUN_CHECKS, *CLIENT_CHECKS, *FIGURE_CHECKS]


def test_the_page_holds_the_list_as_the_code_makes_it():
    text = PAGE.read_text(encoding="utf-8")
    assert PART.replaced(text, check_list()) == text, "run: make docs"


def test_every_check_that_a_report_names_has_an_entry():
    """All of them, in a report that asks for everything and whose addresses are wrong."""
    wire = Wire().connect(1).stream(1, 1).last("interrupt", 1)
    evidence = wire.evidence(1, expectations=Expectations(join_max_ms=500))._replace(backlog=Backlog(0, 1000))
    strange = wire.subject(1, counters=Counters(lost_on_link=1), expected={"loss_pct": Bound(most=100)})
    evidence = evidence._replace(subjects=(*evidence.subjects, strange))
    links = [link("down", "clean", ()).check("link", "client-1"), steps("a", 1, 0, "").check("steps", "client-1")]
    links.append(host("h2", "no answer").check("host", "client-1"))
    reports = judge(evidence, RunFacts(run="all"), links), Tree().play().report()
    named = dict.fromkeys(check.name for report in reports for check in report.checks)
    assert sorted(named) == sorted(NAMES)
    headings = [line.removeprefix("#### ") for line in check_list().splitlines() if line.startswith("#### ")]
    assert headings == NAMES


def test_the_names_are_those_that_reports_have_had():
    """They are part of the report's format: a new name is added here, an old one is not changed."""
    assert [*RUN_CHECKS] == ["capture", "link", "steps", "host", "backlog", "subjects", "strangers", "evidence", "hops"]
    assert [*CLIENT_CHECKS][:6] == ["promise", "commands", "reception", "silence", "sequence", "acknowledged"]
    assert [*CLIENT_CHECKS][6:] == ["clock", "balance", "loss", "frames", "join", "attribution", "relayed", "demand"]


@pytest.mark.parametrize("name", NAMES)
def test_each_description_is_complete(name: str):
    check = described(name, {**RUN_CHECKS, **CLIENT_CHECKS, **FIGURE_CHECKS}[name])
    assert check.proves.endswith(".")
    assert check.fails or check.errs
    assert check.next_step.endswith((".", "?"))


def test_a_description_has_a_form():
    def good(_: object) -> None:
        """It holds.

        FAIL: It does
        not.

        Next: Look.
        """

    def lacking(_: object) -> None:
        """It holds.

        UNSUPPORTED: It cannot be
        done here.

        Next: Go on.
        """

    def no_next_step(_: object) -> None:
        """It holds.

        FAIL: It does not.
        """

    def no_verdict(_: object) -> None:
        """It holds.

        Next: Look.
        """

    assert described("good", good) == ("good", "It holds.", "It does not.", None, None, "Look.")
    assert described("lacking", lacking) == ("lacking", "It holds.", None, None, "It cannot be done here.", "Go on.")
    with pytest.raises(ValueError, match="check no_next_step: its docstring needs"):
        described("no_next_step", no_next_step)
    with pytest.raises(ValueError, match="check no_verdict: its docstring says neither"):
        described("no_verdict", no_verdict)


def test_a_link_out_of_tolerance_is_an_error_of_the_lab():
    good = link("down", "lossy-5", ()).check("link", "client-1")
    assert (good.verdict, good.detail) == (Verdict.PASS, "down, lossy-5: as it was set")
    bad = link("up", "lossy-5", ("loss 9 %", "delay 3 ms"))
    assert (bad.verdict, bad.detail) == (Verdict.ERROR, "up, lossy-5: loss 9 %; delay 3 ms")


def test_steps_that_came_too_late_are_an_error_of_the_lab():
    assert steps("drive", 600, 60, "600 steps, 60 late") == (Verdict.PASS, "drive: 600 steps, 60 late")
    assert steps("drive", 600, 61, "600 steps, 61 late").verdict is Verdict.ERROR
    assert steps("drive", 0, 0, "no step").verdict is Verdict.PASS


def test_the_document_keeps_all_but_the_list():
    document = PART.replaced(f"before\n{PART.begin}\nold\n{PART.end}\nafter\n", check_list())
    assert document == f"before\n{PART.begin}\n{check_list()}\n{PART.end}\nafter\n"


def test_a_document_without_marks_is_refused():
    with pytest.raises(FlumeError, match="no <!-- checks"):
        PART.replaced("# Reading a report\n", check_list())


def test_as_a_program_it_writes_the_document_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    document = tmp_path / "judge.md"
    document.write_text(f"{PART.begin}\n{PART.end}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["check_list", str(document)])
    main()
    assert check_list() in document.read_text(encoding="utf-8")
