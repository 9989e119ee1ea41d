"""The page of promises names tests that exist, and says what became of them."""

import re

import pytest

from support.paths import ROOT
from support.promises import PAGE, PROMISES, Group, Promise, load, page, results

GROUPS = load(PROMISES.read_text(encoding="utf-8"))
NAMED = sorted({test for group in GROUPS for promise in group.promise for test in promise.tests})

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.integration.test_abuse" name="test_flood[a]" time="1.25"><properties>
<property name="measured" value="0 of 1,520 lost"/></properties></testcase>
<testcase classname="tests.integration.test_abuse" name="test_flood[b]" time="0.5"/>
<testcase classname="tests.unit.test_x" name="test_x" time="1"><failure message="no"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("test", NAMED)
def test_a_named_test_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_the_page_has_every_promise_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith("| ")]
    shown = [tuple(row) for row in rows if row[0] != "| what happens"]
    assert shown == [(f"| {one.what}", one.promised) for group in GROUPS for one in group.promise], "make promises"


def test_the_cases_of_a_test_are_one_result() -> None:
    found = results([JUNIT])
    flood = found["tests/integration/test_abuse.py::test_flood"]
    assert (flood.cases, flood.failed, flood.seconds, flood.measured) == (2, 0, 1.75, ("0 of 1,520 lost",))


def test_a_promise_says_what_became_of_each_test() -> None:
    tests = ("tests/integration/test_abuse.py::test_flood", "tests/unit/test_x.py::test_x", "tests/y.py::test_y")
    text = page([Group("Abuse", (Promise("a flood", "no loss", tests),))], results([JUNIT]))
    assert "| a flood | no loss | 0 of 1,520 lost | " in text
    assert "`tests/integration/test_abuse.py::test_flood`: passed, 2 cases, 1.8 s<br>" in text
    assert "`tests/unit/test_x.py::test_x`: 1 FAILED, 1.0 s<br>`tests/y.py::test_y`: not run |" in text
