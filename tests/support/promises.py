"""What is promised in abuse and fault: reads ``tests/promises.toml`` and writes ``docs/promises.md``.

``python -m support.promises`` (``make promises``) takes the results of the last test run from the files
``artifacts/junit-*.xml``. A promise is kept where all its tests passed in that run. What a test measured is a property
of its result that the test sets: ``record_property("measured", "0 of 1,520 datagrams lost")``.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from support.paths import ROOT

PROMISES = ROOT / "tests" / "promises.toml"
PAGE = ROOT / "docs" / "promises.md"

_HEAD = """# Promises in abuse, fault and strange surroundings

*For the operator.* After this page you know what flumelab does when it is attacked, when a part of it dies, and on
machines unlike ours, and which test shows it. `make promises` makes the page from `tests/promises.toml` and the results
of a whole test run. Seconds are those of the tests in that run, on two cores.
"""


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the page."""

    what: str
    """What happens to flumelab."""
    promised: str
    tests: tuple[str, ...]
    """Each as pytest names it, without parameters: ``tests/integration/test_abuse.py::test_name``."""
    measured: str = ""
    """Measured by hand, where no test says it."""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the page."""

    title: str
    promise: tuple[Promise, ...]


class Groups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    group: tuple[Group, ...]


class Result(msgspec.Struct, frozen=True):
    """What became of one test, over all its parameters."""

    cases: int = 0
    failed: int = 0
    seconds: float = 0.0
    measured: tuple[str, ...] = ()


def load(text: str) -> Sequence[Group]:
    """Return the groups in *text*; raises :class:`msgspec.ValidationError`."""
    return msgspec.toml.decode(text, type=Groups).group


def results(reports: Iterable[str]) -> Mapping[str, Result]:
    """Return the result of each test by its name, from *reports*, the texts of JUnit files of pytest."""
    found: dict[str, Result] = {}
    for report in reports:
        for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - written by our own test run
            name = case.get("name", "").partition("[")[0]
            key = f"{case.get('classname', '').replace('.', '/')}.py::{name}"
            before = found.get(key, Result())
            has_failed = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            measured = tuple(one.get("value", "") for one in case.iter("property") if one.get("name") == "measured")
            found[key] = Result(
                before.cases + 1,
                before.failed + has_failed,
                before.seconds + float(case.get("time", 0)),
                (*before.measured, *measured),
            )
    return found


def page(groups: Sequence[Group], found: Mapping[str, Result]) -> str:
    """Return the text of the page."""
    lines = [_HEAD]
    for group in groups:
        lines += [f"## {group.title}", "| what happens | what is promised | measured | test, its result and seconds |"]
        lines += ["|---|---|---|---|"]
        lines += [_row(promise, found) for promise in group.promise]
        lines += [""]
    return "\n".join(lines)


def _row(promise: Promise, found: Mapping[str, Result]) -> str:
    measured = [promise.measured] if promise.measured else []
    measured += [text for test in promise.tests for text in found.get(test, Result()).measured]
    shown = "<br>".join(_outcome(test, found.get(test)) for test in promise.tests)
    return f"| {promise.what} | {promise.promised} | {'; '.join(dict.fromkeys(measured)) or '–'} | {shown} |"


def _outcome(test: str, result: Result | None) -> str:
    if result is None:
        return f"`{test}`: not run"
    cases = f" {result.cases} cases," if result.cases > 1 else ""
    how = "passed" if not result.failed else f"{result.failed} FAILED"
    return f"`{test}`: {how},{cases} {result.seconds:.1f} s"


def main() -> int:
    """Write the page; return 1 if a promise's test failed or was not run."""
    groups = load(PROMISES.read_text(encoding="utf-8"))
    reports = sorted((ROOT / "artifacts").glob("junit-*.xml"))
    found = results(path.read_text(encoding="utf-8") for path in reports)
    PAGE.write_text(page(groups, found), encoding="utf-8")
    broken = [
        test
        for group in groups
        for promise in group.promise
        for test in promise.tests
        if test not in found or found[test].failed
    ]
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {sum(len(group.promise) for group in groups)} promises\n")
    for test in broken:
        sys.stdout.write(f"not shown: {test}\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
