"""The source runs while clients receive."""

import asyncio

import pytest

from flume.server import demand
from flume.server.demand import Demand
from flume.server.sources.ingest import Ingest
from support.media.synthetic import SyntheticSource


class NotedIngest(Ingest):
    """Notes what is wanted of it, and reads nothing."""

    def __init__(self, *, live: bool) -> None:
        super().__init__(SyntheticSource(live=live))
        self.wants: list[bool] = []

    def want(self, wanted: bool) -> None:
        self.wants.append(wanted)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "IDLE_HYSTERESIS_S", 0.05)


def test_a_file_stops_with_the_last_client():
    async def main() -> None:
        ingest = NotedIngest(live=False)
        steered = Demand(ingest)
        for active in (1, 2, 1, 0):
            steered.update(active)
        await asyncio.sleep(0.01)
        assert ingest.wants == [True, True, True, False]

    asyncio.run(main())


@pytest.mark.usefixtures("short")
def test_a_live_source_stops_some_time_after_it():
    async def main() -> None:
        ingest = NotedIngest(live=True)
        steered = Demand(ingest)
        steered.update(1)
        steered.update(0)
        await asyncio.sleep(0.01)
        assert ingest.wants == [True]
        await asyncio.sleep(0.1)
        assert ingest.wants == [True, False]

    asyncio.run(main())


@pytest.mark.usefixtures("short")
def test_a_client_that_comes_back_soon_finds_a_live_source_running():
    async def main() -> None:
        ingest = NotedIngest(live=True)
        steered = Demand(ingest)
        for active in (1, 0, 1):
            steered.update(active)
        await asyncio.sleep(0.1)
        assert ingest.wants == [True, True]

    asyncio.run(main())


@pytest.mark.usefixtures("short")
def test_the_end_of_the_server_cancels_a_stop_that_is_pending():
    async def main() -> None:
        ingest = NotedIngest(live=True)
        steered = Demand(ingest)
        steered.update(0)
        steered.close()
        await asyncio.sleep(0.1)
        assert ingest.wants == []

    asyncio.run(main())
