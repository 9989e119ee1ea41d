"""The list of checks in ``docs/judge.md``, made from their functions: ``python -m flume.lab.report.check_list``.

Run it in the project's folder after a change to a check's docstring. Another document is named as the argument.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flume.errors import FlumeError, SetupError
from flume.lab.trial.checks.description import Description, described
from flume.lab.trial.checks.registry import CLIENT_CHECKS, RUN_CHECKS

BEGIN, END = "<!-- checks: made by `python -m flume.lab.report.check_list`, not by hand -->", "<!-- /checks -->"
DOCUMENT = Path("docs/judge.md")


def check_list() -> str:
    """Return the list in Markdown: a heading for each check that a report can name, and a line for each verdict."""
    return "\n".join(
        (
            "### Checks of the run, its captures and its links",
            *_entries(RUN_CHECKS),
            "",
            "### Checks of each client",
            *_entries(CLIENT_CHECKS),
        )
    )


def replaced(text: str) -> str:
    """Return the document *text* with the list between its two marks made anew. Raises :class:`SetupError`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SetupError(f"making the list of checks: the document has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n{check_list()}\n{END}{after}"


def _entries(checks: Mapping[str, Callable[..., object]]) -> Iterator[str]:
    for name, function in checks.items():
        yield from ("", *_entry(described(name, function)))


def _entry(check: Description) -> Iterator[str]:
    yield f"#### {check.name}"
    yield _markdown(check.proves)
    if check.fails is not None:
        yield f"- FAIL: {_markdown(check.fails)}"
    if check.errs is not None:
        yield f"- ERROR: {_markdown(check.errs)}"
    yield f"- Next: {_markdown(check.next_step)}"


def _markdown(text: str) -> str:
    """Return *text* of a docstring with its code spans as Markdown has them."""
    return text.replace("``", "`")


def main() -> None:
    """Write the list into the document that the command line names."""
    document = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    document.write_text(replaced(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except FlumeError as error:
        sys.stderr.write(f"flume: {error}\n")
        sys.exit(error.exit_code)
