"""The state table of ``docs/protocol.md``, made from :data:`.session.TABLE`: ``python -m flume.control.table``.

Run it in the project's folder after a change to the table. Another document is named as the argument.
"""

from flume import generated
from flume.control.session import TABLE, Command, Input, Signal, State
from flume.generated import GeneratedPart

PART = GeneratedPart("states", "flume.control.table")


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
    PART.write(generated.document_argument("docs/protocol.md"), state_table())


if __name__ == "__main__":
    generated.run(main)
