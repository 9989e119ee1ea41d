"""One run of the whole catalogue, from which each test takes its entry's outcome."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.catalogue import ENTRIES
from sources.entry import Entry
from sources.running import Run

FOLDER = Path(__file__).parent


ORDER = ("test_bad_input", "test_live", "test_catalogue", "test_reader_killed")
"""The catalogue plays in the background of the tests that mostly wait. What measures a time limit comes last, alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules of this folder in order."""
    mine = [item for item in items if item.path.parent == FOLDER and item.path.stem in ORDER]
    others = [item for item in items if item not in mine]
    items[:] = [*others, *sorted(mine, key=lambda item: ORDER.index(item.path.stem))]


@pytest.fixture(scope="session", autouse=True)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Play the entries whose tests were chosen, a dozen side by side."""
    params = [item.callspec.params.get("entry") for item in request.session.items if hasattr(item, "callspec")]
    chosen = {each.name for each in params if isinstance(each, Entry)}
    run = Run([each for each in ENTRIES if each.name in chosen])
    yield run
    run.close()
