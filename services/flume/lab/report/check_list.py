"""The list of checks in ``docs/judge.md``, made from their functions: ``python -m flume.lab.report.check_list``.

Run it in the project's folder after a change to a check's docstring. Another document is named as the argument.
"""

from collections.abc import Callable, Iterator, Mapping

from flume import generated
from flume.generated import GeneratedPart
from flume.lab.trial.checks.description import Description, described
from flume.lab.trial.checks.registry import CLIENT_CHECKS, FIGURE_CHECKS, RUN_CHECKS

PART = GeneratedPart("checks", "flume.lab.report.check_list")


def check_list() -> str:
    """Return the list in Markdown: a heading for each check that a report can name, and a line for each verdict."""
    return "\n".join(
        (
            "### Checks of the run, its captures and its links",
            *_entries(RUN_CHECKS),
            "",
            "### Checks of each client",
            *_entries({**CLIENT_CHECKS, **FIGURE_CHECKS}),
        )
    )


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
    if check.lacks is not None:
        yield f"- UNSUPPORTED: {_markdown(check.lacks)}"
    yield f"- Next: {_markdown(check.next_step)}"


def _markdown(text: str) -> str:
    """Return *text* of a docstring with its code spans as Markdown has them."""
    return text.replace("``", "`")


def main() -> None:
    """Write the list into the document that the command line names."""
    PART.write(generated.document_argument("docs/judge.md"), check_list())


if __name__ == "__main__":
    generated.run(main)
