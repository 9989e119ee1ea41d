"""One run of the whole catalogue, from which each test takes its entry's outcome."""

from collections.abc import Iterator

import pytest

from sources.catalogue import ENTRIES
from sources.running import Run


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Play the entries whose tests were chosen, a dozen side by side."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {each["entry"].name for each in params if "entry" in each}
    run = Run([each for each in ENTRIES if each.name in chosen])
    yield run
    run.close()
