"""What connections leave behind is freed while the server runs."""

import gc
from collections.abc import Iterator

import pytest

from flume.server.fronts.garbage import COLLECT_EVERY, COLLECT_INTERVAL_S, Garbage, spare_what_stays
from flume.server.fronts.json_lines import JsonConnection
from support.clients.players import wait_until
from support.clients.wire_client import WireClient
from support.servers.running_server import running_server


@pytest.fixture
def no_collection_of_python() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connections() -> int:
    return sum(isinstance(each, JsonConnection) for each in gc.get_objects())


@pytest.mark.usefixtures("no_collection_of_python")
def test_connections_that_have_ended_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flume.server.fronts.garbage.COLLECT_INTERVAL_S", 0.0)
    before = connections()
    with running_server() as server:
        for _ in range(2 * COLLECT_EVERY):
            with WireClient(server.port) as client:
                client.ask("status")  # a session over UDP would be held a little longer, by its port's proof
        wait_until("all but the last few are freed", lambda: connections() - before < COLLECT_EVERY)


def test_it_is_done_once_for_many_connections_and_seldom() -> None:
    done: list[str] = []
    garbage = Garbage(lambda: done.append("freed"))
    for number in range(10 * COLLECT_EVERY):
        garbage.connection_ended(now_s=number / COLLECT_EVERY)  # so many each second
    assert len(done) == 10 / COLLECT_INTERVAL_S
    for _ in range(COLLECT_EVERY):
        garbage.connection_ended(now_s=1000.0)
    assert len(done) == 10 / COLLECT_INTERVAL_S + 1


def test_what_is_there_at_the_start_is_looked_at_no_more() -> None:
    before = gc.get_freeze_count()
    try:
        spare_what_stays()
        assert gc.get_freeze_count() - before > 10_000
        assert len(gc.get_objects()) < 1000
    finally:
        gc.unfreeze()
