"""Where missing frames went: each cause alone, together, and accounts that do not add up.

A :class:`~support.captures.wire.Wire` begins a frame in each datagram with an odd number: datagrams 1 and 2 are frame
0, and frame 1 begins in datagram 3.
"""

from collections import Counter

import msgspec
import pytest

from flume.lab.evidence.facts import Backlog, Counters, LinkQueue, PlayerRecord, Shown
from flume.lab.trial.attribution import _by_count
from flume.lab.trial.card_numbers import Places
from flume.lab.trial.case import cases_of
from flume.lab.trial.checks import frame_sums
from flume.lab.trial.measured import measured
from flume.lab.trial.measures import Attribution
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Report, Verdict
from support.captures.judging import detail, tour, verdicts
from support.captures.viewing import measures, record, watched
from support.captures.wire import Wire

DUE = 49
"""Frames of two seconds: the last one is cut by the window's end."""


def two_seconds() -> Wire:
    return Wire().connect(1).stream(2, 1).last("interrupt", 1)


def attribution(report: Report, client: int = 1) -> Attribution:
    found = measures(report, client).attribution
    assert found is not None
    assert sum(getattr(found, cause) for cause in frame_sums.CAUSES) == found.missing
    return found


def judged(report: Report) -> Verdict:
    return verdicts(report, "attribution")["client-1"]


def test_a_clean_run_misses_nothing() -> None:
    wire = two_seconds()
    report = watched(wire, {1: record(wire, 1)})
    assert attribution(report) == Attribution(missing=0)
    assert detail(report, "attribution", "client-1") == f"0 of {DUE} due missing"
    assert judged(report) is Verdict.PASS


def test_a_pause_is_no_loss() -> None:
    wire = tour()
    report = watched(wire, {client: record(wire, client) for client in (1, 2)})
    for client in (1, 2):
        assert attribution(report, client) == Attribution(missing=0)


def test_lost_on_the_link() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({10, 11, 31}))
    # 10 belongs to the frame of 9; 11 begins a frame, and the one of 9 may end in it; 31 the same with 29.
    seen = record(wire, 1, hide={9, 11, 29, 31})
    report = watched(wire, {1: seen}, taps={1: tap}, counters=Counters(lost_on_link=3))
    assert attribution(report) == Attribution(missing=4, link=4)
    assert judged(report) is Verdict.PASS


def test_a_frame_displayed_with_errors_is_not_missing() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({10}))
    report = watched(wire, {1: record(wire, 1, unclear={9})}, taps={1: tap}, counters=Counters(lost_on_link=1))
    assert attribution(report) == Attribution(missing=0, unclear=1)
    assert judged(report) is Verdict.PASS


def test_a_full_queue() -> None:
    wire = two_seconds()
    lost = {40, 41, 80}
    tap = wire.client(1, lose=frozenset(lost))
    # The neighbours of 40 and 41 came through a queue that was nearly full, those of 80 through an empty one.
    late = {39, 42}
    media = tuple(one._replace(time_s=one.time_s + (0.055 if one.sequence in late else 0.005)) for one in tap.media)
    # Until the beginning of the stream the link had another queue, and from its end on none.
    always = LinkQueue(0.0, ((0.0, 60.0),))
    queues = (0.0, LinkQueue(0.0, ((0.0, 5.0),))), (wire.media[0].time_s, always), (wire.now_s, None)
    seen = record(wire, 1, hide={39, 41, 79})
    report = watched(
        wire, {1: seen}, taps={1: tap._replace(media=media)}, counters=Counters(lost_on_link=3), queues=queues
    )
    assert attribution(report) == Attribution(missing=3, queue=2, link=1)
    series = measures(report).series
    assert series is not None
    assert (sum(series.lost_queue), sum(series.lost_link)) == (2, 1)


def test_the_engines_host_drops_in_a_row() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({20, 21, 22, 60}))
    seen = record(wire, 1, hide={19, 21, 59})
    report = watched(
        wire, {1: seen}, taps={1: tap}, counters=Counters(lost_on_link=1), backlog=Backlog(3, 1000),
        claims={"datagrams": 96},
    )  # fmt: skip
    assert attribution(report) == Attribution(missing=3, host=2, link=1)


@pytest.mark.parametrize("cause", ["firewall", "receiver"])
def test_dropped_behind_the_tap(cause: str) -> None:
    wire = two_seconds()
    seen = record(wire, 1, hide={9, 11}, given_up=[(10, 11)])
    report = watched(wire, {1: seen}, counters=Counters(**{f"dropped_by_{cause}": 2}))
    assert attribution(report) == msgspec.structs.replace(Attribution(missing=2), **{cause: 2})
    series = measures(report).series
    assert series is not None
    assert sum(series.lost_beyond) == 2


def test_a_firewall_behind_which_a_receiver_notices_nothing() -> None:
    """Nothing comes any more: there is no number behind the hole, so the receiver gives nothing up."""
    wire = two_seconds()
    seen = record(wire, 1, hide=range(50, 100))
    report = watched(wire, {1: seen}, counters=Counters(dropped_by_firewall=50))
    # The frame of 99 is cut by the window's end.
    assert attribution(report) == Attribution(missing=24, firewall=24)


def test_too_late_for_the_buffer() -> None:
    wire = two_seconds()
    seen = record(wire, 1, hide={9}, given_up=[(10, 10)], late={10})
    assert attribution(watched(wire, {1: seen})) == Attribution(missing=1, late=1)


def test_what_arrived_and_was_not_displayed_is_the_decoders() -> None:
    wire = two_seconds()
    report = watched(wire, {1: record(wire, 1, hide={9, 51})})
    assert attribution(report) == Attribution(missing=2, decoder=2)
    assert detail(report, "attribution", "client-1") == f"2 of {DUE} due missing: 2 decoder"


def test_all_causes_in_one_run_add_up() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({10}))
    seen = record(wire, 1, hide={9, 19, 29, 39}, given_up=[(10, 10), (20, 20), (30, 30)], late={30})
    report = watched(wire, {1: seen}, taps={1: tap}, counters=Counters(lost_on_link=1, dropped_by_receiver=1))
    assert attribution(report) == Attribution(missing=4, link=1, receiver=1, late=1, decoder=1)
    assert judged(report) is Verdict.PASS


def test_a_frozen_player_is_caught() -> None:
    wire = two_seconds()
    report = watched(wire, {1: PlayerRecord()})
    assert attribution(report) == Attribution(missing=DUE, decoder=DUE)
    assert verdicts(report, "frames")["client-1"] is Verdict.FAIL


def test_a_player_that_names_pictures_which_were_not_sent_is_caught() -> None:
    wire = two_seconds()
    seen = record(wire, 1)
    lies = tuple(one._replace(number=9000 + at) if at >= 40 else one for at, one in enumerate(seen.shown))
    report = watched(wire, {1: seen._replace(shown=lies)})
    assert judged(report) is Verdict.ERROR


def test_a_player_that_displays_what_is_yet_to_be_sent_is_caught() -> None:
    wire = two_seconds()
    seen = record(wire, 1, lag_s=lambda sequence: 0.5 if sequence < 60 else -0.5)
    report = watched(wire, {1: seen})
    assert judged(report) is Verdict.ERROR
    assert "were not due then" in detail(report, "attribution", "client-1")


def test_a_record_without_all_pictures_is_caught() -> None:
    wire = two_seconds()
    report = watched(wire, {1: record(wire, 1)}, claims={"frames_displayed": 51})
    assert judged(report) is Verdict.ERROR
    assert "the player counts 51 pictures and its record has 50" in detail(report, "attribution", "client-1")


def test_a_claim_of_which_no_counter_knows_is_no_cause() -> None:
    wire = two_seconds()
    seen = record(wire, 1, hide={9, 19}, given_up=[(10, 10), (20, 20)], late={20})
    report = watched(wire, {1: seen}, claims={"late": 0})
    assert attribution(report) == Attribution(missing=2, decoder=2)
    series = measures(report).series
    assert series is not None
    assert sum(series.lost_beyond) == 0


def test_a_claim_names_no_more_datagrams_than_the_counters_know_of() -> None:
    wire = two_seconds()
    numbers = [(at, at) for at in range(10, 60, 10)]
    seen = record(wire, 1, hide={9, 19, 29, 39, 49, 59, 69}, given_up=[*numbers, (60, 60), (70, 70)], late={60, 70})
    counters = Counters(dropped_by_firewall=1, dropped_by_receiver=2)
    report = watched(wire, {1: seen}, counters=counters, claims={"late": 1})
    assert attribution(report) == Attribution(missing=7, receiver=2, firewall=1, late=1, decoder=3)
    assert judged(report) is Verdict.PASS


def test_a_claim_does_not_excuse_wrong_pictures() -> None:
    wire = two_seconds()
    seen = record(wire, 1, given_up=[(0, 99)])
    shown = tuple(one._replace(number=9000 + at) if at >= 40 else one for at, one in enumerate(seen.shown))
    report = watched(wire, {1: seen._replace(shown=shown)})
    assert judged(report) is Verdict.ERROR
    assert "were not due then" in detail(report, "attribution", "client-1")


def test_a_cause_of_which_no_counter_knows_is_caught() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({10}))
    seen = record(wire, 1, hide={9})
    # As many were made on the link as were lost there, by the account: only the counter of the queue knows of none.
    report = watched(
        wire, {1: seen}, taps={1: tap}, backlog=Backlog(0, 1000), counters=Counters(dropped_by_firewall=1),
        claims={"datagrams": len(wire.media) - 1},
    )  # fmt: skip
    assert judged(report) is Verdict.ERROR
    assert "1 frames are missing by the link, which dropped no datagram" in detail(report, "attribution", "client-1")


def test_the_last_frame_before_a_long_pause_waits_in_the_decoder() -> None:
    wire = Wire().connect(1).stream(2, 1).last("interrupt", 1)
    for _ in range(15):
        wire.wait(2).consent(1)
    wire.request(1, "continue").reply(1, "continue", state="active", first_sequence=wire.sequence % 65536)
    wire.stream(2, 1).last("interrupt", 1)
    # The frames of 97 and 99 are displayed behind the pause, the one of 99 although the rest of it came only then.
    seen = record(wire, 1, lag_s=lambda sequence: 30.6 if sequence in {97, 99} else 0.7)
    report = watched(wire, {1: seen})
    found = attribution(report)
    assert (found.missing, found.misfits, found.unclear) == (0, 0, 0)
    assert judged(report) is Verdict.PASS


@pytest.mark.parametrize("wrong", [Attribution(missing=2, decoder=1), Attribution(missing=1, decoder=1)])
def test_an_account_that_does_not_add_up_is_an_error(wrong: Attribution) -> None:
    wire = two_seconds()
    seen = record(wire, 1, hide={9, 51})
    subject = wire.subject(1, tap="client-1")
    said = msgspec.structs.replace(subject.claims, record=seen, frames_displayed=len(seen.shown), datagrams=None)
    evidence = wire.evidence(1)._replace(
        taps=(wire.server(), wire.client(1)), subjects=(msgspec.structs.replace(subject, claims=said),)
    )
    server = evidence.facts("server")
    (case,) = measured(cases_of(evidence, server, reconstruct(server)), Places(server.media), wire.now_s)
    good = frame_sums.attribution(case)
    assert case.account is not None
    bad = frame_sums.attribution(case._replace(account=case.account._replace(attribution=wrong)))
    assert good is not None
    assert bad is not None
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.ERROR)


def test_a_card_that_begins_again() -> None:
    """A card of 30 frames, of which the last two were never displayed: its length is found by its keyframes."""
    wire = two_seconds()
    wire.media = [one._replace(is_entry=one.sequence in {1, 21, 41, 61, 81}) for one in wire.media]
    seen = record(wire, 1, hide={57, 59}, loop=30)
    report = watched(wire, {1: seen})
    assert attribution(report) == Attribution(missing=2, decoder=2)
    assert judged(report) is Verdict.PASS


def test_one_client_that_claims_wrong_numbers_makes_no_other_wrong() -> None:
    wire = Wire().connect(1).connect(2).stream(2, 1, 2).last("interrupt", 1).last("interrupt", 2)
    honest, liar = record(wire, 1, loop=30), record(wire, 2)
    lies = tuple(one._replace(number=number) for one, number in zip(liar.shown, (60000, 60001, 5, 6), strict=False))
    report = watched(wire, {1: honest, 2: liar._replace(shown=lies)})
    assert attribution(report, 1) == Attribution(missing=0)
    assert verdicts(report, "attribution")["client-1"] is Verdict.PASS
    assert verdicts(report, "attribution")["client-2"] is Verdict.ERROR


def test_one_client_without_numbers_takes_no_other_its_own() -> None:
    wire = Wire().connect(1).connect(2).stream(2, 1, 2).last("interrupt", 1).last("interrupt", 2)
    seen = record(wire, 1), record(wire, 2)
    many = tuple(Shown(one.time_s + at / 10_000, None) for one in seen[1].shown for at in range(200))
    report = watched(wire, {1: seen[0], 2: seen[1]._replace(shown=many)})
    assert attribution(report, 1) == Attribution(missing=0)


def test_a_card_that_begins_again_because_the_server_was_restarted() -> None:
    """Its numbers begin again in mid-card, with another SSRC: that is no loop."""
    wire = Wire().connect(1).stream(1, 1).end(1, by_server=True)
    first, wire.sequence = len(wire.media), 1
    wire.connect(1).stream(3, 1).last("interrupt", 1)
    again = [one._replace(ssrc=8, identity=b"again" + one.identity) for one in wire.media[first:]]
    wire.media = wire.media[:first] + again
    report = watched(wire, {1: record(wire, 1)})
    assert attribution(report) == Attribution(missing=0)
    assert judged(report) is Verdict.PASS


def test_a_misread_number_is_no_new_beginning_of_the_card() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({60}))
    seen = record(wire, 1)
    # Frame 30 reads as 28, and frame 20 as 24, which had been sent by then.
    shown = tuple(one._replace(number={30: 28, 20: 24}.get(one.number or 0, one.number)) for one in seen.shown)
    report = watched(wire, {1: seen._replace(shown=shown)}, taps={1: tap}, counters=Counters(lost_on_link=1))
    assert attribution(report) == Attribution(missing=0, unclear=2, misfits=2)


def test_the_numbers_of_one_player_explain_those_of_another() -> None:
    """Client 2 does not display its first frames. Without client 1 they could be any."""
    wire = Wire().connect(1).connect(2).stream(2, 1, 2).last("interrupt", 1).last("interrupt", 2)
    tap = wire.client(2, lose=frozenset(range(1, 9)))
    seen = {1: record(wire, 1), 2: record(wire, 2, hide=range(8))}
    report = watched(wire, seen, taps={2: tap}, counters=Counters(lost_on_link=8))
    assert attribution(report, 2) == Attribution(missing=4, link=4)


def test_first_frames_that_were_not_displayed_are_found_by_the_keyframe() -> None:
    wire = two_seconds()
    report = watched(wire, {1: record(wire, 1, hide=range(10))})
    assert attribution(report) == Attribution(missing=5, decoder=5)
    playback = measures(report).playback
    assert playback is not None
    assert playback.glass_to_glass_ms is not None
    assert playback.glass_to_glass_ms.median == pytest.approx(500, abs=0.01)


def test_pictures_that_are_drawn_over_are_no_frames() -> None:
    wire = two_seconds()
    seen = record(wire, 1)
    at = seen.shown[10]
    twice = (*seen.shown[:11], Shown(at.time_s + 0.01, at.number), *seen.shown[11:])
    report = watched(wire, {1: seen._replace(shown=twice)})
    assert attribution(report) == Attribution(missing=0, extra=1)
    assert judged(report) is Verdict.PASS


def test_a_damaged_number_between_two_alike_is_counted_once() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({22}))
    seen = record(wire, 1)
    # Frame 11 is drawn in part: its bars read as 700, and then as those of the picture before.
    at = seen.shown[11]
    mixed = (*seen.shown[:11], Shown(at.time_s, 700), Shown(at.time_s + 0.01, 10), *seen.shown[12:])
    report = watched(wire, {1: seen._replace(shown=mixed)}, taps={1: tap}, counters=Counters(lost_on_link=1))
    assert attribution(report) == Attribution(missing=0, unclear=1, extra=1, misfits=1)
    assert judged(report) is Verdict.PASS


def test_pictures_of_leaked_frames_are_the_promises_affair() -> None:
    wire = two_seconds().wait(1).stream(0.5, 1).wait(1)
    report = watched(wire, {1: record(wire, 1)})
    assert verdicts(report, "promise")["client-1"] is Verdict.FAIL
    assert judged(report) is Verdict.PASS


def test_few_readable_numbers_are_enough() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({22, 24, 26, 60}))
    seen = record(wire, 1, hide={21, 25}, unclear=set(range(100)) - {1, 51, 53})
    report = watched(wire, {1: seen}, taps={1: tap}, counters=Counters(lost_on_link=4))
    assert attribution(report) == Attribution(missing=2, link=2, unclear=45)
    assert judged(report) is Verdict.PASS


def test_a_video_without_numbers_is_counted() -> None:
    wire = two_seconds()
    tap = wire.client(1, lose=frozenset({10}))
    seen = record(wire, 1, hide={9, 51, 53}, unclear=range(100))
    report = watched(wire, {1: seen}, taps={1: tap}, counters=Counters(lost_on_link=1))
    # 50 frames begin, 49 are due, 47 pictures were displayed: one of them may be the frame that is cut.
    assert attribution(report) == Attribution(missing=2, link=1, decoder=1, by="counts")
    assert "frames are counted" in detail(report, "attribution", "client-1")


def test_a_player_without_a_record_is_counted_and_has_no_playback() -> None:
    wire = two_seconds()
    report = watched(wire, {1: None}, claims={"frames_displayed": 45, "player": "window"})
    assert attribution(report) == Attribution(missing=4, decoder=4, by="counts")
    assert measures(report).playback is None


def test_nothing_is_said_of_a_client_that_does_not_say() -> None:
    wire = two_seconds()
    report = watched(wire, {1: None}, claims={"frames_displayed": None})
    assert measures(report).attribution is None
    assert "client-1" not in verdicts(report, "attribution")
    assert measures(watched(wire, {1: None}, watches=False)).attribution is None


@pytest.mark.parametrize(
    ("missing", "struck", "shares"),
    [
        (5, {"link": 3}, {"link": 3, "decoder": 2}),
        (2, {"link": 4}, {"link": 2}),
        (3, {"link": 4, "late": 2}, {"link": 2, "late": 1}),
        (0, {"link": 4}, {}),
        (0, {}, {}),
    ],
)
def test_shares_of_causes_add_up(missing: int, struck: dict[str, int], shares: dict[str, int]) -> None:
    found = _by_count(missing, Counter(struck))
    assert +found == Counter(shares)
    assert found.total() == missing
