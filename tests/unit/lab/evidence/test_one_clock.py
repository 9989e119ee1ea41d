"""All times of a client on another host come on the server's clock, whatever holds them."""

import typing
from typing import Any

import msgspec
import pytest

from flume.lab.evidence import facts as values
from flume.lab.evidence.clock import HostClock, Offset
from flume.lab.evidence.facts import (
    Claims,
    Command,
    Consent,
    ControlEnd,
    ControlStart,
    Counters,
    GivenUp,
    Headless,
    LinkQueue,
    MediaDatagram,
    OtherPacket,
    PlayerRecord,
    Refusal,
    Shown,
    Subject,
    Tap,
    TapFacts,
    TooLate,
)
from flume.lab.evidence.one_clock import offset_in_captures, on_one_clock, shift_record, shift_subject, shift_tap
from support.captures.wire import Wire

AHEAD_S = 2.0
CLOCK = HostClock(
    host="attic",
    before=Offset(ahead_s=AHEAD_S, bound_s=0.0, measured_s=10.0),
    after=Offset(ahead_s=AHEAD_S, bound_s=0.0, measured_s=20.0),
)
CLIENT, SERVER = ("198.18.0.11", 50000), ("198.18.0.2", 5004)
TAP = Tap("client-1", "eth0", "c.pcap", 5, 0, 2048, first_s=12.0, last_s=19.0, problem=None)
MEDIA = MediaDatagram(14.0, SERVER, CLIENT, b"one", 1, 7, 1328, 1)
FACTS = TapFacts(
    TAP,
    media=(MEDIA, MEDIA._replace(time_s=15.0)),
    starts=(ControlStart(12.5, CLIENT),),
    messages=(Command(13.0, CLIENT, "connect"),),
    ends=(ControlEnd(18.0, CLIENT, by_server=False),),
    consents=(Consent(13.5, CLIENT, b"token"),),
    refusals=(Refusal(18.5, CLIENT),),
    sources=frozenset({SERVER[0]}),
    batches=3,
    others=(OtherPacket(14.5, SERVER[0], CLIENT[0], b"x"),),
    incomplete=(MEDIA._replace(time_s=16.0),),
    headless=(Headless(16.5, SERVER[0], CLIENT[0]),),
)
RECORD = PlayerRecord((Shown(14.1, 1),), (GivenUp(14.2, 1, 2),), (TooLate(14.3, 1),))


def times(value: Any) -> list[float]:
    """All times in *value*, in order: each field whose name ends in ``_s``."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ())
        own = [
            getattr(value, name) for name in names if name.endswith("_s") and isinstance(getattr(value, name), float)
        ]
        return own + [time for part in value for time in times(part)]
    return []


def test_every_time_of_a_tap_is_moved() -> None:
    moved = shift_tap(FACTS, CLOCK)
    assert times(moved) == pytest.approx([time_s - AHEAD_S for time_s in times(FACTS)])
    assert len(times(FACTS)) == 12
    still = moved._replace(**{name: getattr(FACTS, name) for name in ("sources", "batches")})
    assert (still.sources, still.batches, moved.media[0].identity) == (FACTS.sources, FACTS.batches, b"one")


def test_the_facts_here_have_something_in_every_field_that_holds_times() -> None:
    """A field that is added to TapFacts, or to PlayerRecord, has to be in this test too."""
    hints = typing.get_type_hints(TapFacts)
    assert set(hints) == set(TapFacts._fields)
    assert all(getattr(FACTS, name) for name in TapFacts._fields)
    assert all(RECORD)


def test_a_tap_without_a_packet_has_no_times_to_move() -> None:
    empty = TapFacts(TAP._replace(packets=0, first_s=0.0, last_s=0.0))
    assert shift_tap(empty, CLOCK) == empty


def test_every_time_that_a_client_reports_is_moved() -> None:
    assert times(shift_record(RECORD, CLOCK)) == pytest.approx([time_s - AHEAD_S for time_s in times(RECORD)])
    subject = Subject(
        name="client-1",
        address=CLIENT[0],
        claims=Claims(datagrams=5, record=RECORD),
        counters=Counters(lost_on_link=4, control_until_s=17.0),
    )
    moved = shift_subject(subject, CLOCK)
    assert moved.claims.record == shift_record(RECORD, CLOCK)
    assert moved.counters == Counters(lost_on_link=4, control_until_s=15.0)
    assert moved.claims.datagrams == 5
    quiet = Subject(name="client-1", address=CLIENT[0])
    assert shift_subject(quiet, CLOCK) == quiet


def test_no_other_field_of_a_subject_is_a_time() -> None:
    """``join_ms`` is a duration, and ``queues`` begin by the lab's clock; a new field has to be looked at here."""
    known = {
        Claims: {"join_ms"},
        Counters: {"control_until_s"},
        Subject: set(),
        LinkQueue: {"period_s", "ahead_s"},
        values.Expectations: {"restarts_s", "join_max_ms"},
    }
    for kind, names in known.items():
        fields = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields  # type: ignore[attr-defined]
        assert {name for name in fields if name.endswith(("_s", "_ms"))} == names


def test_a_link_that_changes_with_time_does_so_by_the_clock_of_its_host() -> None:
    queue = LinkQueue(60, ((0.0, 10.0), (15.0, 120.0)))
    subject = Subject(name="client-1", address=CLIENT[0], queues=((0.0, queue), (10.0, None)))
    moved = shift_subject(subject, CLOCK)
    assert [moved.full_queue_ms(at_s) for at_s in (5.0, 9.0)] == [10.0, 10.0]
    moved = shift_subject(msgspec.structs.replace(subject, queues=((0.0, queue),)), CLOCK)
    assert [moved.full_queue_ms(at_s) for at_s in (12.9, 13.0, 57.9, 58.0)] == [10.0, 120.0, 120.0, 10.0]


def test_only_taps_on_other_hosts_are_moved() -> None:
    wire = Wire().connect(1).connect(2).stream(1, 1, 2)
    evidence = wire.evidence(1, 2)._replace(taps=(wire.server(), wire.client(1), wire.client(2)))
    assert on_one_clock({"server": evidence}) == {"server": evidence}
    moved = on_one_clock({"server": evidence._replace(clocks={"client-2": CLOCK})})["server"]
    assert moved.taps[:2] == evidence.taps[:2]
    assert moved.taps[2] == shift_tap(evidence.taps[2], CLOCK)


@pytest.mark.parametrize("ahead_s", [0.0, 30.0, -3600.0])
@pytest.mark.parametrize(("down_s", "up_s"), [(0.02, 0.02), (0.08, 0.01)])
def test_the_captures_show_an_offset_to_half_of_the_time_on_the_way(ahead_s: float, down_s: float, up_s: float) -> None:
    wire = Wire().connect(1).stream(2, 1).consent(1)
    server = wire.server()
    seen = wire.client(1, delay_s=down_s + ahead_s)
    seen = seen._replace(
        consents=tuple(one._replace(time_s=one.time_s - up_s + ahead_s) for one in server.consents),
        messages=tuple(one._replace(time_s=one.time_s - up_s + ahead_s) for one in server.messages),
    )
    found = offset_in_captures(server, seen)
    assert found is not None
    assert found.ahead_s == pytest.approx(ahead_s + (down_s - up_s) / 2, abs=1e-6)
    assert found.bound_s == pytest.approx((down_s + up_s) / 2, abs=1e-6)


def test_one_way_alone_tells_no_offset() -> None:
    wire = Wire().connect(1).stream(1, 1)
    server = wire.server()
    assert offset_in_captures(server, wire.client(1, delay_s=5.0)) is None
    assert offset_in_captures(server, TapFacts(TAP, consents=server.consents)) is None
    assert offset_in_captures(server, TapFacts(TAP)) is None
    unknown = wire.evidence(1)._replace(taps=(server, TapFacts(TAP)), clocks={"client-1": HostClock(host="attic")})
    assert on_one_clock({"server": unknown})["server"].taps[1] == TapFacts(TAP)
