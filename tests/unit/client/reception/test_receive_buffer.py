"""How long the receive buffer lasts, and what is reported where the kernel grants less than was asked for."""

import pytest

from flume.client.reception.receive_buffer import ReceiveBuffer, lasts_ms, remedy_of_shortage, shortage
from flume.doctor import diagnosis as d
from flume.settings import MAX_RECEIVE_BUFFER_BYTES

ASKED = 4 << 20
DEFAULT_LIMIT = 212_992
"""net.core.rmem_max of a kernel whose owner never set it."""


@pytest.mark.parametrize(("granted", "milliseconds"), [(DEFAULT_LIMIT, 39), (ASKED, 766), (0, 0)])
def test_what_a_buffer_holds_is_stated_as_time_of_a_stream(granted: int, milliseconds: int) -> None:
    assert lasts_ms(granted) == milliseconds


def test_a_slower_stream_finds_room_for_longer() -> None:
    assert lasts_ms(ASKED, rate_mbit=5) == pytest.approx(10 * lasts_ms(ASKED), rel=0.01)


def test_enough_is_nothing_to_report() -> None:
    assert shortage(ReceiveBuffer(ASKED, ASKED, 0)) is None
    assert shortage(ReceiveBuffer(ASKED, 2 * ASKED, 0)) is None


def test_a_limit_is_stated_with_what_was_asked_and_granted_and_how_long_that_lasts() -> None:
    buffer = ReceiveBuffer(ASKED, DEFAULT_LIMIT, 0)
    said = str(shortage(buffer))
    for part in ("212992 bytes", "4194304 asked for", "39 ms", "50 Mbit/s", "766 ms"):
        assert part in said
    assert "'sysctl -w net.core.rmem_max=4194304'" in remedy_of_shortage(buffer)
    assert "/etc/sysctl.d/" in remedy_of_shortage(buffer)


def test_what_was_dropped_is_reported_as_dropped_by_this_machine() -> None:
    for buffer in (ReceiveBuffer(ASKED, DEFAULT_LIMIT, 7), ReceiveBuffer(ASKED, ASKED, 7)):
        said = str(shortage(buffer))
        assert "7 datagrams" in said
        assert "dropped here, not by the network" in said


def test_the_remedy_of_a_granted_buffer_that_was_full_also_asks_for_more() -> None:
    """The limit alone would change nothing: the client asks for no more than before."""
    remedy = remedy_of_shortage(ReceiveBuffer(ASKED, ASKED, 1))
    assert "--receive-buffer 8388608" in remedy
    assert "net.core.rmem_max=8388608" in remedy
    most = ReceiveBuffer(MAX_RECEIVE_BUFFER_BYTES, MAX_RECEIVE_BUFFER_BYTES, 1)
    assert f"--receive-buffer {MAX_RECEIVE_BUFFER_BYTES}" in remedy_of_shortage(most)


@pytest.mark.parametrize("buffer", [ReceiveBuffer(ASKED, DEFAULT_LIMIT, 0), ReceiveBuffer(ASKED, ASKED, 3)])
def test_the_doctor_says_the_same(buffer: ReceiveBuffer) -> None:
    finding = d.receive_buffer(buffer)
    assert (finding.finding, finding.weight) == ("small", "advice")
    assert (finding.detail, finding.remedy) == (shortage(buffer), remedy_of_shortage(buffer))
    assert "766 ms" in d.receive_buffer(ReceiveBuffer(ASKED, ASKED, 0)).detail
