"""The state table for the documents: made from the session's rows and put between two marks."""

import sys

import pytest

from flume.control.session import TABLE, Command, Signal, State
from flume.control.table import PART, main, state_table
from flume.errors import FlumeError


def cells() -> dict[tuple[str, str], str]:
    """Return the table's cells by (state, input)."""
    header, _, *rows = [line.strip("| ").split(" | ") for line in state_table().splitlines()]
    shown: dict[tuple[str, str], str] = {}
    for name, *row in rows:
        shown |= {(state, name.split("`")[1]): cell for state, cell in zip(header[1:], row, strict=True)}
    return shown


def test_every_pair_has_its_cell():
    assert set(cells()) == {(str(state), str(row)) for state in State for row in (*Command, *Signal)}


def test_a_cell_says_what_follows_and_what_is_done():
    shown = cells()
    assert shown["active", "interrupt"] == "→ interrupted: stop"
    assert shown["active", "consent_moved"] == "stop, move, refresh, start"
    assert shown["closed", "connect"] == "→ connecting: issue token"
    assert shown["closed", "status"] == "–"
    assert {pair for pair, cell in shown.items() if cell == "refused"} == {
        (str(state), str(row)) for (state, row), transition in TABLE.items() if transition is None
    }


def test_the_document_keeps_all_but_the_table_and_a_second_run_changes_nothing():
    document = PART.replaced(f"before\n{PART.begin}\nold\n{PART.end}\nafter\n", state_table())
    assert document == f"before\n{PART.begin}\n{state_table()}\n{PART.end}\nafter\n"
    assert PART.replaced(document, state_table()) == document


def test_a_document_without_marks_is_refused():
    with pytest.raises(FlumeError, match="no <!-- states"):
        PART.replaced("# Protocol\n", state_table())


def test_as_a_program_it_writes_the_document_it_is_given(tmp_path, monkeypatch):
    document = tmp_path / "protocol.md"
    document.write_text(f"{PART.begin}\n{PART.end}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["table", str(document)])
    main()
    assert state_table() in document.read_text(encoding="utf-8")
