"""A short soak: the server holds, and a server that streams on is found."""

import sys

import pytest

from soak.running import PORT, run
from support.namespaces import SERVER_ADDRESS

pytestmark = pytest.mark.wire


def test_thirty_clients_with_random_commands_over_lossy_paths_see_no_leak(record_property) -> None:
    result = run(8, clients=30)
    assert [fault for fault in result.faults() if "grows" not in fault] == []  # 8 s are too short to say
    assert result.counts["sessions"] >= 30
    assert result.counts["commands"] >= 60
    record_property("measured", f"{result.counts['datagrams']:,} datagrams, 0 leaked")


def test_a_server_that_streams_on_after_an_interrupt_is_found() -> None:
    program = (sys.executable, "-m", "support.servers.broken_server", "keeps_streaming", SERVER_ADDRESS, str(PORT))
    result = run(4, clients=10, program=program)
    assert result.counts["leaked"] > 10
