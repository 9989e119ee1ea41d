"""What the watchdog reports, and how often."""

from collections.abc import Iterator

import pytest

from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.client.reception.statistics import SILENT_AFTER_S
from flume.client.session.watchdog import BUFFER_FULL, BUFFER_SMALL, Watchdog
from flume.control.session import State
from support.clients.scripted_session import CONNECTED, DISCONNECTED, RecoverySetup, status


class WatchdogSetup(RecoverySetup):
    """Beside the recovery, a watchdog whose receiver has the buffer that a test says."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.buffer: ReceiveBuffer | None = None
        self.receiver.buffer = lambda: self.buffer  # type: ignore[method-assign]
        self.watchdog = Watchdog(self.session, self.recovery, self.windows, self.receiver, self.reporter)
        self.windows.flowed = True
        self.recovery.desire("active")
        self.session.enter(State.ACTIVE)

    def look(self, silence_s: float = 0.0) -> None:
        self.windows.silent_s = silence_s
        self.watchdog.look()


@pytest.fixture
def setup() -> Iterator[WatchdogSetup]:
    with WatchdogSetup(transport="udp") as setup:
        yield setup


def test_a_stream_that_flows_is_nothing_to_report(setup: WatchdogSetup) -> None:
    for silence_s in (0.0, 0.2, SILENT_AFTER_S):
        setup.look(silence_s)
    assert setup.events == []


def test_a_silence_is_reported_once_and_the_next_one_again(setup: WatchdogSetup) -> None:
    for silence_s in (5.5, 6.5, 7.5):
        setup.look(silence_s)
    assert setup.codes == ["no_datagrams"]
    assert "does this host's firewall let UDP from server in?" in str(setup.events[0].message)
    setup.look(0.1)
    setup.look(5.5)
    assert setup.codes == ["no_datagrams"] * 2


@pytest.mark.parametrize("state", [State.CLOSED, State.CONNECTING, State.INTERRUPTED])
def test_a_session_that_is_not_active_may_be_silent(setup: WatchdogSetup, state: State) -> None:
    setup.session.enter(state)
    setup.look(60.0)
    assert setup.events == []


def test_over_tcp_the_firewall_is_not_blamed() -> None:
    with WatchdogSetup(transport="tcp") as setup:
        setup.look(6.0)
        assert "nothing came for 5 s on the control connection" in str(setup.events[0].message)


def test_a_small_buffer_is_reported_once_and_once_more_when_it_was_full(setup: WatchdogSetup) -> None:
    setup.buffer = ReceiveBuffer(1000, 500, 0)
    setup.look()
    setup.look()
    assert setup.codes == [BUFFER_SMALL]
    setup.buffer = ReceiveBuffer(1000, 500, 3)
    setup.look()
    setup.look()
    assert setup.codes == [BUFFER_SMALL, BUFFER_FULL]


def test_a_full_buffer_is_not_reported_as_small_afterwards(setup: WatchdogSetup) -> None:
    setup.buffer = ReceiveBuffer(1000, 500, 3)
    setup.look()
    setup.buffer = ReceiveBuffer(1000, 500, 0)  # a new socket has dropped nothing yet
    setup.look()
    assert setup.codes == [BUFFER_FULL]


def test_a_change_to_tcp_takes_the_place_of_the_silence() -> None:
    with WatchdogSetup() as setup:
        setup.session.answers = [status(10), status(20), status(30), status(40), DISCONNECTED, CONNECTED]
        for silence_s in (2.0, 3.0, 4.0, 4.9, 5.9):
            setup.look(silence_s)
        assert setup.codes == ["udp_blocked"]
        setup.look(6.9)
        assert setup.codes == ["udp_blocked", "no_datagrams"], "over TCP nothing comes either"
