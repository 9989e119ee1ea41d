"""The supervisor's rounds: when it recovers, how long it pauses before, and when it ends."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flume.client.session.supervisor import FIRST_PAUSE_S, Supervisor
from flume.settings import ClientSettings
from support.clients.scripted_session import ScriptedSession


class RoundsOfRecovery:
    """Needs recovery until *results* are used up, then closes the session."""

    def __init__(self, session: ScriptedSession, results: list[bool]) -> None:
        self._session, self.results = session, results

    @property
    def is_needed(self) -> bool:
        return bool(self.results)

    def recover(self) -> bool:
        result = self.results.pop(0)
        if not self.results:
            self._session.begin_closing()
        return result


class QuickSupervisor(Supervisor):
    """Keeps the pauses that it does not make."""

    def __init__(self, session: ScriptedSession, results: list[bool], *, longest_pause_s: float) -> None:
        self.looks = 0
        self.pauses: list[float] = []
        watchdog = cast("Any", SimpleNamespace(look=self._look))
        recovery = cast("Any", RoundsOfRecovery(session, results))
        super().__init__(session, recovery, watchdog, longest_pause_s=longest_pause_s)

    def _look(self) -> None:
        self.looks += 1

    def _pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)


@pytest.fixture
def session() -> Iterator[ScriptedSession]:
    session = ScriptedSession(ClientSettings(host="server"))
    yield session
    session.begin_closing()


def run(supervisor: QuickSupervisor) -> QuickSupervisor:
    supervisor.start()
    supervisor.join()
    return supervisor


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success(session: ScriptedSession) -> None:
    results = [False, False, False, False, True, False, True]
    supervisor = run(QuickSupervisor(session, results, longest_pause_s=1.5))
    first = FIRST_PAUSE_S
    assert supervisor.pauses == [first, 2 * first, 4 * first, 1.5, 1.5, first, 2 * first]


def test_the_watchdog_looks_in_each_round(session: ScriptedSession) -> None:
    assert run(QuickSupervisor(session, [False, False, True], longest_pause_s=1)).looks == 3


def test_a_client_that_closes_recovers_nothing_any_more(session: ScriptedSession) -> None:
    session.begin_closing()
    supervisor = run(QuickSupervisor(session, [True], longest_pause_s=1))
    assert (supervisor.pauses, supervisor.looks) == ([], 0)


def test_a_supervisor_that_was_not_started_has_ended(session: ScriptedSession) -> None:
    QuickSupervisor(session, [], longest_pause_s=1).join()
