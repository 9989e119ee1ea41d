"""What a client was sent: windows, their numbers and the totals."""

from flume.control.messages import ClientCounters
from flume.media.ring import DATAGRAM_BYTES, Ring
from flume.server.sending.roster import Recipient
from flume.server.sessions.account import DeliveryAccount, WindowEnd
from flume.settings import PayloadKind

RING = Ring(ssrc=1, first_sequence=65_535)


def recipient(datagrams: int, last_index: int, payload: PayloadKind = "rtp") -> Recipient:
    made = Recipient(None, payload=payload, start=0, segmentation=False)  # type: ignore[arg-type]
    if datagrams:
        made.count(datagrams, last_index)
    return made


def test_a_window_is_reported_once():
    account = DeliveryAccount(RING)
    account.begin_window()
    account.add(recipient(5, 4))
    assert account.end_window() == WindowEnd(last_sequence=3, datagrams=5), "65,535 and four more, modulo 2^16"
    assert account.end_window() == WindowEnd(None, 0)
    assert account.last_index == 4


def test_a_window_that_went_on_at_another_port_is_one():
    account = DeliveryAccount(RING)
    account.begin_window()
    account.add(recipient(5, 4))
    account.add(recipient(2, 6))
    assert account.end_window() == WindowEnd(last_sequence=5, datagrams=7)


def test_a_recipient_that_got_nothing_changes_no_number():
    account = DeliveryAccount(RING)
    account.begin_window()
    account.add(recipient(5, 4))
    account.add(recipient(0, 0))
    assert account.end_window() == WindowEnd(last_sequence=3, datagrams=5)
    assert account.last_index == 4


def test_raw_ts_has_no_numbers_and_is_counted_in_its_own_bytes():
    account = DeliveryAccount(RING)
    account.add(recipient(5, 4, payload="ts"))
    assert account.end_window() == WindowEnd(None, 5)
    assert account.first(recipient(0, 0, payload="ts")) == (None, None)
    assert account.counters("udp", None).bytes == 5 * (DATAGRAM_BYTES - 12)


def test_totals_are_those_of_past_recipients_and_the_present_one():
    account = DeliveryAccount(RING)
    past, present = recipient(5, 4), recipient(2, 6)
    past.drops["send_buffer_full"] = 1
    present.drops["send_buffer_full"] = 2
    present.fallbacks["segmentation_eio"] = 1
    account.add(past)
    assert account.counters("udp", present) == ClientCounters(
        datagrams=7,
        bytes=7 * DATAGRAM_BYTES,
        batches=2,
        drops={"send_buffer_full": 3},
        fallbacks={"segmentation_eio": 1},
    )
    assert account.counters("tcp", None).transport == "tcp"
    assert account.counters("tcp", None).datagrams == 5


def test_a_new_session_continues_nowhere():
    account = DeliveryAccount(RING)
    account.add(recipient(5, 4))
    account.begin_session()
    assert account.last_index is None
