"""The names of leaks, from windows and commands made by hand."""

import math

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.leaks import TAIL_S, leak_reasons
from flume.lab.trial.window_index import WindowIndex
from flume.lab.trial.windows import ActiveWindow, CommandOutcome

CONTROL, MEDIA, OTHER = ("h", 40000), ("h", 50000), ("h", 50001)
CONNECT = CommandOutcome(0.5, CONTROL, "connect", "ok", 0.6)


def window(closed_by: str, *, closed_s: float = 2.0) -> ActiveWindow:
    return ActiveWindow(CONTROL, MEDIA, 1.0, closed_s, 0.0, "connect", closed_by)


def reasons(*times_s: float, to: Endpoint = MEDIA, windows: tuple[ActiveWindow, ...], commands=(CONNECT,)):
    leaked = [MediaDatagram(time_s, ("s", 5004), to, b"", 1, 1, 1328, 0) for time_s in times_s]
    return leak_reasons(leaked, WindowIndex(windows), commands)


def test_a_short_tail_after_the_end_of_a_window_has_another_name_than_a_long_one():
    interrupted = (window("interrupt"),)
    assert reasons(2.1, 2.0 + TAIL_S, windows=interrupted) == {"after_interrupt": 2}
    assert reasons(2.1, 2.0 + 2 * TAIL_S, windows=interrupted) == {"while_interrupted": 2}
    assert reasons(2.1, windows=(window("disconnect"),)) == {"after_disconnect": 1}
    assert reasons(2.1, windows=(window("closed"),)) == {"after_close": 1}
    assert reasons(9.0, windows=(window("connection"),)) == {"after_connection_end": 1}


def test_a_datagram_without_any_granted_connect_was_never_asked_for():
    refused = CommandOutcome(0.5, CONTROL, "connect", "too_many", 0.6)
    assert reasons(1.0, windows=(), commands=(refused,)) == {"never_connected": 1}
    assert reasons(0.4, windows=()) == {"never_connected": 1}


def test_a_datagram_between_connect_and_consent_has_no_consent():
    assert reasons(0.7, windows=()) == {"before_consent": 1}
    again = CommandOutcome(3.0, CONTROL, "connect", "ok", 3.1)
    assert reasons(3.5, windows=(window("disconnect"),), commands=(CONNECT, again)) == {"before_consent": 1}


def test_a_datagram_to_another_port_of_an_active_client_has_the_wrong_address():
    assert reasons(1.5, to=OTHER, windows=(window("nothing", closed_s=math.inf),)) == {"wrong_address": 1}


def test_each_datagram_has_one_reason():
    found = reasons(0.1, 0.7, 2.1, windows=(window("interrupt"),))
    assert found == {"never_connected": 1, "before_consent": 1, "after_interrupt": 1}
