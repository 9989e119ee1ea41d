"""The figures of wire and playback in a report: known errors give exactly the known figures, a clean run none."""

import msgspec
import pytest

from flume.lab.evidence.facts import Counters, MediaDatagram, PlayerRecord, TapFacts
from flume.lab.trial.judge import judge
from flume.lab.trial.measures import PlaybackFigures, Series, WireFigures
from flume.lab.trial.verdict import Report
from support.captures.judging import RUN, tour
from support.captures.viewing import LAG_S, measures, record, watched
from support.captures.wire import START_S, Wire

DELAY_S = 0.005


def two_seconds() -> Wire:
    return Wire().connect(1).stream(2, 1).last("interrupt", 1)


def wire_of(report: Report, client: int = 1) -> WireFigures:
    found = measures(report, client).wire
    assert found is not None
    return found


def playback_of(report: Report, client: int = 1) -> PlaybackFigures:
    found = measures(report, client).playback
    assert found is not None
    return found


def series_of(report: Report, client: int = 1) -> Series:
    found = measures(report, client).series
    assert found is not None
    return found


def arrived(wire: Wire, later: dict[int, float], *, lose: frozenset[int] = frozenset()) -> TapFacts:
    """The tap of client 1, of which some datagrams, by their number, come *later* than the usual 5 ms."""
    tap = wire.client(1, delay_s=DELAY_S, lose=lose)
    media = [one._replace(time_s=one.time_s + later.get(one.sequence or 0, 0)) for one in tap.media]
    return tap._replace(media=tuple(sorted(media, key=lambda one: one.time_s)))


def test_a_clean_wire() -> None:
    wire = two_seconds()
    found = wire_of(watched(wire, {1: record(wire, 1)}, taps={1: arrived(wire, {})}))
    assert (found.expected, found.received, found.lost, found.reordered, found.duplicates) == (100, 100, 0, 0, 0)
    assert (found.loss_runs, found.longest_run, found.burst_pct, found.burst_mean) == ({}, 0, None, None)
    assert found.gap_mean == 100
    assert found.jitter_most_ms == pytest.approx(0, abs=0.001)
    assert found.delay_factor_ms == pytest.approx(0, abs=0.001)
    assert (found.jitter_ms, found.media_loss_rate) == (0, 0)
    assert found.longest_silence_ms == pytest.approx(20, abs=0.001)
    assert found.delay_ms is not None
    assert (found.delay_ms.count, found.delay_ms.least, found.delay_ms.most) == (100, 5, 5)
    # Five datagrams of 1328 bytes within 100 ms.
    assert found.peak_kbit == pytest.approx(531.2)


def test_what_a_bad_wire_did() -> None:
    wire = two_seconds()
    lost = frozenset({20, 21, 30, 90})
    tap = arrived(wire, {55: 0.03, 70: 0.016}, lose=lost)
    found = wire_of(watched(wire, {1: record(wire, 1)}, taps={1: tap}, counters=Counters(lost_on_link=4)))
    assert (found.expected, found.received, found.lost) == (100, 96, 4)
    assert (found.loss_runs, found.longest_run) == ({1: 2, 2: 1}, 2)
    assert found.reordered == 1, "55 came behind 56"
    # One burst from 20 to 30, of which 3 in 11 were lost; before it a gap of 20, behind it one of 69.
    assert (found.burst_mean, found.burst_pct, found.gap_mean) == (11, 27.273, 44.5)
    # In the first second three datagrams of seven packets were lost; in the next one was, and one came out of order.
    assert found.media_loss_rate == 21
    assert found.delay_factor_ms == pytest.approx(30, abs=0.001)
    assert found.delay_ms is not None
    assert found.delay_ms.most == pytest.approx(35, abs=0.001)
    # 56 came before 55, and each of the two deviates by 30 ms from what its time stamp says; later 16 ms twice.
    assert found.jitter_most_ms is not None
    assert 3 < found.jitter_most_ms < 8


def test_duplicates_are_counted_once_each() -> None:
    wire = two_seconds()
    tap = arrived(wire, {})
    twice = (*tap.media[:10], tap.media[9]._replace(time_s=tap.media[9].time_s + 0.001), *tap.media[10:])
    found = wire_of(watched(wire, {1: record(wire, 1)}, taps={1: tap._replace(media=twice)}))
    assert (found.received, found.lost, found.duplicates, found.reordered) == (100, 0, 1, 0)


def test_a_pause_is_no_silence_no_jitter_and_no_freeze() -> None:
    wire = tour()
    report = watched(wire, {client: record(wire, client) for client in (1, 2)})
    for client in (1, 2):
        found, playback = wire_of(report, client), playback_of(report, client)
        assert found.longest_silence_ms == pytest.approx(20, abs=3)
        assert found.jitter_most_ms == pytest.approx(0, abs=1)
        assert (found.lost, playback.freezes, playback.frozen_pct) == (0, [], 0)


def test_the_burst_at_the_beginning_is_no_jitter() -> None:
    """Fifty datagrams, a second of the stream, leave within 100 ms; then it goes on at its own speed."""
    wire = Wire().connect(1).stream(0.1, 1, every_s=0.002).stream(1, 1).last("interrupt", 1)
    stamped = [one._replace(timestamp=1800 * (one.sequence or 0)) for one in wire.media]
    wire.media = stamped
    found = wire_of(watched(wire, {1: record(wire, 1)}, taps={1: arrived(wire, {})}))
    assert found.jitter_most_ms == pytest.approx(0, abs=0.05)
    assert found.peak_kbit == pytest.approx(50 * 1328 * 8 / 1000 / 0.1, rel=0.03), "the burst is part of the rate"


def test_no_capture_at_the_client_no_figures() -> None:
    wire = two_seconds()
    subject = wire.subject(1, tap=None)
    evidence = wire.evidence(1)._replace(subjects=(subject,))
    found = judge(evidence, RUN).clients[0].measures
    assert (found.wire, found.series) == (None, None)


def test_a_clean_playback() -> None:
    wire = two_seconds()
    found = playback_of(watched(wire, {1: record(wire, 1)}))
    assert (found.frames_due, found.frames_shown, found.frames_late) == (49, 49, 0)
    assert (found.freezes, found.frozen_pct, found.resume_ms) == ([], 0, [])
    assert found.glass_to_glass_ms is not None
    assert (found.glass_to_glass_ms.count, found.glass_to_glass_ms.median) == (49, 500)


def test_a_picture_that_stood_still() -> None:
    wire = two_seconds()
    # Frames 20 to 29 are missing: from 19 to 30 it is 11 frames of 40 ms.
    report = watched(wire, {1: record(wire, 1, hide=range(41, 61))})
    found = playback_of(report)
    (freeze,) = found.freezes
    # Frame 19 begins in datagram 39.
    began_s = wire.media[39].time_s + LAG_S - START_S
    assert freeze.start_s == pytest.approx(began_s, abs=0.001)
    assert freeze.duration_s == pytest.approx(0.44, abs=0.001)
    watched_s = 0.04 * 47  # from the second picture to the last frame that was due
    assert found.frozen_pct == pytest.approx(100 * 0.44 / watched_s, abs=0.1)
    shown = series_of(report).shown
    at = int(freeze.start_s / 0.1)
    assert (shown[at] > 0, shown[at + 1 : at + 4]) == (True, [0, 0, 0])


def test_a_picture_that_never_moves_again() -> None:
    wire = two_seconds()
    found = playback_of(watched(wire, {1: record(wire, 1, hide=range(41, 100))}))
    (freeze,) = found.freezes
    assert freeze.duration_s == pytest.approx(0.04 * 29, abs=0.001), "from frame 19 to 48, the last that was due"


def test_the_wait_for_the_buffer_is_no_freeze_and_a_long_one_is() -> None:
    wire = two_seconds()
    at_once = record(wire, 1, lag_s=lambda sequence: 0.1 if sequence == 1 else LAG_S)
    assert playback_of(watched(wire, {1: at_once})).freezes == []
    late = record(wire, 1, hide=range(3, 41), lag_s=lambda sequence: 0.1 if sequence == 1 else LAG_S)
    assert [round(one.duration_s, 2) for one in playback_of(watched(wire, {1: late})).freezes] == [1.2]


def test_a_frame_that_waited_in_the_decoder_for_the_next_window_is_no_freeze() -> None:
    wire = tour()
    # The last whole frame of client 2's first window is displayed when the second window begins.
    held = record(wire, 2, lag_s=lambda sequence: 1.6 if sequence in {47, 49} else LAG_S)
    report = watched(wire, {1: record(wire, 1), 2: held})
    assert playback_of(report, 2).freezes == []


def test_a_window_without_a_picture_is_a_freeze() -> None:
    wire = tour()
    # Client 2's second window begins with datagram 100.
    report = watched(wire, {1: record(wire, 1), 2: record(wire, 2, hide=range(100, 200))})
    found = playback_of(report, 2)
    (freeze,) = found.freezes
    assert freeze.duration_s == pytest.approx(0.96, abs=0.05)


def test_resuming_and_late_frames() -> None:
    wire = tour()
    slow = record(wire, 2, lag_s=lambda sequence: LAG_S + {121: 0.1, 123: 0.07, 125: 0.035}.get(sequence, 0))
    found = playback_of(watched(wire, {1: record(wire, 1), 2: slow}), 2)
    assert found.frames_late == 2
    (resume_ms,) = found.resume_ms
    assert resume_ms == pytest.approx(1000 * LAG_S + 20, abs=5)


def test_a_video_without_numbers_has_freezes_by_time() -> None:
    wire = two_seconds()
    found = playback_of(
        watched(wire, {1: record(wire, 1, unclear=range(100), hide=range(41, 61), lag_s=lambda _: 0.01)})
    )
    assert [round(one.duration_s, 2) for one in found.freezes] == [0.44]
    assert (found.glass_to_glass_ms, found.frames_late) == (None, None)
    assert playback_of(watched(wire, {1: PlayerRecord()})).freezes == [], "it never showed a picture that could freeze"


def test_time_lines() -> None:
    wire = two_seconds()
    tap = arrived(wire, {}, lose=frozenset({20}))
    series = series_of(watched(wire, {1: record(wire, 1)}, taps={1: tap}, counters=Counters(lost_on_link=1)))
    lengths = {len(getattr(series, name)) for name in ("rate_kbit", "lost_link", "lost_queue", "lost_host", "delay_ms")}
    assert lengths == {len(series.shown)}
    assert sum(series.rate_kbit) * series.bin_s == pytest.approx(99 * 1328 * 8 / 1000, rel=1e-4)
    assert series.lost_link.index(1) == int((wire.media[20].time_s - START_S) / series.bin_s)
    assert {value for value in series.delay_ms if value is not None} == {5.0}
    assert sum(series.shown) <= 50


def test_long_runs_have_wider_bins() -> None:
    wire = Wire().connect(1).stream(1, 1).wait(400).last("interrupt", 1)
    series = series_of(watched(wire, {1: record(wire, 1)}))
    assert series.bin_s == 0.2
    assert len(series.rate_kbit) <= 3000


def test_media_without_rtp_have_no_jitter_and_are_counted_alike() -> None:
    wire = two_seconds()
    raw: list[MediaDatagram] = [one._replace(sequence=None, timestamp=None, ssrc=None) for one in wire.media]
    wire.media = raw
    seen = PlayerRecord(record(two_seconds(), 1).shown[:45])
    report = watched(
        wire, {1: seen}, taps={1: arrived(wire, {}, lose=frozenset({10}))}, counters=Counters(lost_on_link=1)
    )
    found, attribution = wire_of(report), measures(report).attribution
    assert (found.lost, found.loss_runs, found.jitter_ms) == (1, {1: 1}, 0)
    assert attribution is not None
    assert (attribution.by, attribution.missing, attribution.link) == ("counts", 4, 1)


def test_measures_are_json() -> None:
    wire = two_seconds()
    report = watched(wire, {1: record(wire, 1)})
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
