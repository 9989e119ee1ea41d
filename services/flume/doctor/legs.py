"""The legs of a path in their order, those that could not be examined too. Pure."""

from collections.abc import Callable, Generator, Iterable, Mapping

from flume.doctor.diagnosis import LEG_NAMES, Finding, untested


def complete(
    examined: Iterable[Finding], legs: Iterable[str], own: Mapping[str, Callable[[], Finding]]
) -> Generator[Finding, None, None]:
    """Yield the findings of *examined*, and then one for each of *legs* that is not among them, and why.

    A leg in *own* needs no path, and is examined last.

    >>> blocked = Finding(leg="tcp", finding="dropped", detail="no answer")
    >>> [finding.finding for finding in complete([blocked], ["tcp", "control"], {})]
    ['dropped', 'untested']
    """
    found: set[str] = set()
    because = "this machine has no sockets for any of these addresses"
    for finding in examined:
        found.add(finding.leg)
        yield finding
        if finding.weight == "blocked":
            because = f"it needs a leg that is blocked: {LEG_NAMES[finding.leg]}"
        elif finding.weight == "untested":
            because = finding.detail
    for leg in legs:
        if leg not in found:
            yield own[leg]() if leg in own else untested(leg, because)
