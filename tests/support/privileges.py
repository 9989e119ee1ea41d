"""What tests need of the system: root for some, and Debian's programs for the administrator. A plugin of pytest.

A test that needs root as a whole says so by the marker ``needs_root``; a helper that needs it for what it makes (a
network namespace, a mount) calls :func:`need_root`. Either names what needs it. For another user the test is skipped,
and the end of the run says how many were. For root no test is skipped by this.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

REASON = "needs root: "
_PROGRAMS = ("/usr/sbin", "/sbin")
_under_pytest = False


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


def need_root(what: str) -> None:
    """Skip the test that runs unless it runs as root; *what* is a noun: ``network namespaces``.

    A program that has the helper from the tests, such as ``make players``, ends with one line and exit status 1.
    """
    if is_root():
        return
    if not _under_pytest:
        raise SystemExit(f"{REASON}{what}: run the same command with sudo")
    pytest.skip(f"{REASON}{what}")


def add_programs() -> None:
    """Let this process and its children find ip, tc, nft and iptables: Debian's users lack their folder in PATH."""
    here = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*here, *(folder for folder in _PROGRAMS if folder not in here)])


def left_out(reasons: Iterable[str]) -> list[str]:
    """Return lines on the tests skipped for *reasons*, as pytest writes them; none where root was needed for none.

    >>> for line in left_out(["Skipped: needs root: mounts", "Skipped: no GStreamer", "Skipped: needs root: mounts"]):
    ...     print(line)
    2 tests need root and were left out: mounts (2).
    To run them too: sudo make test
    """
    needs = [reason.partition(REASON)[2] for reason in reasons if REASON in reason]
    if not needs:
        return []
    parts = ", ".join(f"{need} ({needs.count(need)})" for need in sorted(set(needs)))
    tests = "1 test needs root and was" if len(needs) == 1 else f"{len(needs)} tests need root and were"
    return [f"{tests} left out: {parts}.", "To run them too: sudo make test"]


def of_junit(path: Path) -> list[str]:
    """Return the reasons for which the tests in a JUnit file of pytest were skipped."""
    return [one.get("message", "") for one in ET.parse(path).iter("skipped")]  # noqa: S314 - our own


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    global _under_pytest  # noqa: PLW0603 - a plugin is told once
    _under_pytest = True
    config.addinivalue_line("markers", "needs_root(what): as another user it is skipped; what: a noun")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a marked test before anything is made for it."""
    if (marker := item.get_closest_marker("needs_root")) is not None:
        need_root(*marker.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out."""
    skipped: Sequence[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    if lines := left_out(report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)):
        terminalreporter.section("not run")
        for line in lines:
            terminalreporter.write_line(line)


if __name__ == "__main__":  # at the end of `make test`, with the JUnit files of its parts
    files = [Path(name) for name in sys.argv[1:]]
    for line in left_out(reason for file in files if file.exists() for reason in of_junit(file)):
        sys.stdout.write(f"{line}\n")
