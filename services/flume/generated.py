"""Parts of a document that are made from code: the text between two marks, written by ``make docs``.

A test compares the document with what the code makes of it, so that neither can change alone.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flume.errors import FlumeError, SetupError


class GeneratedPart(NamedTuple):
    """One part of one document, between a mark that names the module which makes it, and a closing mark.

    >>> part = GeneratedPart("states", "flume.control.table")
    >>> print(part.replaced(f"# Page\\n{part.begin}\\nold\\n{part.end}", "new"))
    # Page
    <!-- states: made by `python -m flume.control.table`, not by hand -->
    new
    <!-- /states -->
    """

    name: str
    module: str

    @property
    def begin(self) -> str:
        """The opening mark, a comment of Markdown."""
        return f"<!-- {self.name}: made by `python -m {self.module}`, not by hand -->"

    @property
    def end(self) -> str:
        """The closing mark."""
        return f"<!-- /{self.name} -->"

    def replaced(self, text: str, content: str) -> str:
        """Return the document *text* with *content* between the marks; raises :class:`SetupError` without marks."""
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise SetupError(f"making the {self.name}: the document has no {self.begin} followed by {self.end}")
        return f"{before}{begin}\n{content}\n{end}{after}"

    def write(self, document: Path, content: str) -> None:
        """Write *content* between the marks of the file *document*; raises :class:`SetupError` without marks."""
        document.write_text(self.replaced(document.read_text(encoding="utf-8"), content), encoding="utf-8")


def run(main: Callable[[], None]) -> None:
    """Run *main* as a program: an error is one line, and its exit code the program's."""
    try:
        main()
    except FlumeError as error:
        sys.stderr.write(f"flume: {error}\n")
        sys.exit(error.exit_code)


def document_argument(default: str) -> Path:
    """Return the document that the command line names, else *default* in the present folder."""
    return Path(sys.argv[1] if len(sys.argv) > 1 else default)
