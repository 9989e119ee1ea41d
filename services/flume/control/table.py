"""The state table of ``docs/protocol.md``, made from :data:`.session.TABLE`: ``python -m flume.control.table``.

Run it in the project's folder after a change to the table. Another document is named as the argument.
"""

import sys
from pathlib import Path

from flume.control.session import TABLE, Command, Input, Signal, State
from flume.errors import FlumeError

BEGIN, END = "<!-- states: made by `python -m flume.control.table`, not by hand -->", "<!-- /states -->"
DOCUMENT = Path("docs/protocol.md")


def state_table() -> str:
    """Return the table in Markdown: one row an input, one column a state.

    A cell says which state follows and, in their order, the effects: ``→ interrupted: stop``. ``refused`` is a command
    that is illegal in this state; ``–`` is an input that changes nothing.
    """
    lines = [
        ("input", *(str(state) for state in State)),
        ("---",) * (1 + len(State)),
        *((_name(row), *(_cell(state, row) for state in State)) for row in (*Command, *Signal)),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replaced(text: str) -> str:
    """Return the document *text* with the table between its two marks made anew. Raises :class:`FlumeError`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FlumeError(f"making the table of states: the document has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n{state_table()}\n{END}{after}"


def _name(row: Input) -> str:
    kind = "command" if isinstance(row, Command) else "signal"
    return f"{kind} `{row}`"


def _cell(state: State, row: Input) -> str:
    transition = TABLE[state, row]
    if transition is None:
        return "refused"
    effects = ", ".join(effect.replace("_", " ") for effect in transition.effects)
    if transition.state is state:
        return effects or "–"
    return f"→ {transition.state}: {effects}" if effects else f"→ {transition.state}"


def main() -> None:
    """Write the table into the document that the command line names."""
    document = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    document.write_text(replaced(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except FlumeError as error:
        sys.stderr.write(f"flume: {error}\n")
        sys.exit(error.exit_code)
