"""Every input of the catalogue, through a whole server to a client: every picture, every audio frame, or a reason."""

from collections import Counter

import pytest

from sources.catalogue import ENTRIES
from sources.entry import Entry
from sources.known import KNOWN
from sources.running import Run

KINDS = tuple(f"F{number}" for number in range(1, 14))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_input_keeps_its_promise(run: Run, entry: Entry) -> None:
    outcome = run.outcome(entry.name)
    if outcome.problems and entry.name in KNOWN:
        pytest.xfail(KNOWN[entry.name])
    log = outcome.played.log if outcome.played else ""
    assert not outcome.problems, "\n".join([*outcome.problems, "--- the server's log:", log[-3000:]])
    assert entry.name not in KNOWN, "it passes again: take it out of sources/known.py"


def test_each_kind_has_the_input_that_showed_it_and_two_more() -> None:
    count = Counter(entry.kind for entry in ENTRIES)
    # F12 is about time and not about content: its inputs are in test_live.py.
    assert [kind for kind in KINDS if count[kind] < 3] == ["F12"]
    assert len(ENTRIES) >= 60


def test_names_are_unique_and_known_failures_exist() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert set(KNOWN) <= set(names)
