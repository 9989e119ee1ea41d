"""What a check found. Pure."""

from typing import NamedTuple

from flume.lab.trial.verdict import Check, Verdict


class Finding(NamedTuple):
    """A verdict, and what it rests on in one line."""

    verdict: Verdict
    detail: str

    def check(self, name: str, subject: str) -> Check:
        """Return the finding as the check *name* of *subject*, for the report."""
        return Check(name=name, verdict=self.verdict, subject=subject, detail=self.detail)


def passes(detail: str) -> Finding:
    """Return that the statement holds."""
    return Finding(Verdict.PASS, detail)


def unsupported(detail: str) -> Finding:
    """Return that what was asked for is not possible here, so that the statement was not examined."""
    return Finding(Verdict.UNSUPPORTED, detail)


def fails(detail: str) -> Finding:
    """Return that the product broke the statement."""
    return Finding(Verdict.FAIL, detail)


def errs(detail: str) -> Finding:
    """Return that the evidence is missing or contradicts itself: nothing is known about the product."""
    return Finding(Verdict.ERROR, detail)
