"""Misread numbers: those of damaged pictures are no fault, and all others are one.

``support/captures/skipped_frames.json`` is a real record. The decoder had no time for some of the frames 78 to 99. It
drew the others over the wrong picture, and the first of them showed the number 76.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from flume.lab.evidence.facts import Counters, MediaDatagram, Shown
from flume.lab.trial.damage import unexplained
from flume.lab.trial.frames import Frame
from flume.lab.trial.placing import Misfit, place
from flume.lab.trial.verdict import Verdict
from support.captures import judging
from support.captures.viewing import measures, record, watched
from support.captures.wire import Wire

RECORD = json.loads((Path(judging.__file__).parent / "skipped_frames.json").read_text())
SHOWN = [Shown(*one) for one in RECORD["shown"]]
MISREAD = 67
"""Index of the picture that shows 76, behind the one of frame 77."""


def real_frames() -> list[Frame]:
    left_s, keyframes = RECORD["left_s"], set(RECORD["keyframes"])
    ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    sent = [
        MediaDatagram(time_s, *ends, b"", at, 7, 1328, 1, is_entry=at in keyframes) for at, time_s in enumerate(left_s)
    ]
    return [Frame(0, (one,), 0, at + 1 < len(sent)) for at, one in enumerate(sent)]


def faults(shown: Sequence[Shown], hit: Collection[int] = ()) -> list[Misfit]:
    frames = real_frames()
    return unexplained(frames, place(frames, range(len(frames)), shown), dict.fromkeys(hit, "link"))


def with_number(at: int, number: int) -> list[Shown]:
    return [one._replace(number=number) if index == at else one for index, one in enumerate(SHOWN)]


def test_a_decoder_that_skips_frames_draws_over_the_wrong_picture() -> None:
    frames = real_frames()
    placing = place(frames, range(len(frames)), SHOWN)
    assert [(one.number, one.after, one.before, one.nth) for one in placing.misfits] == [(76, 77, 100, 1)]
    assert faults(SHOWN) == []


def test_the_same_picture_is_a_fault_where_no_frame_is_missing() -> None:
    frames = real_frames()
    whole = [Shown(frame.begun_s + 2.1, at) for at, frame in enumerate(frames[:-1])]
    wrong = [one._replace(number=76) if at == 78 else one for at, one in enumerate(whole)]
    (found,) = faults(wrong)
    assert (found.number, found.after, found.before) == (76, 77, 79)


@pytest.mark.parametrize("number", [0, 9000])
def test_each_wrong_number_among_whole_pictures_is_a_fault(number: int) -> None:
    """From the keyframe 100 to the frame 130, and from the first picture to frame 39, no frame is missing."""
    whole = [at for at, one in enumerate(SHOWN) if one.number is not None and 100 < one.number < 130]
    assert len(whole) == 29
    for at in [*range(2, 39), *whole]:
        assert [one.number for one in faults(with_number(at, number))] == [number], at


def test_one_skipped_frame_does_not_explain_wrong_numbers_for_longer_than_to_a_keyframe() -> None:
    """From 50 on the player claims other numbers: the longest group of 25 is excused, and the five at the cut end."""
    frames = real_frames()
    claimed = [Shown(frame.begun_s + 1, at if at < 50 else 9000 + at) for at, frame in enumerate(frames[:-1])]
    del claimed[60]
    assert len(faults(claimed)) >= len(claimed) - 50 - 25 - 5


def test_a_picture_before_all_others_shows_a_keyframe() -> None:
    (found,) = faults([Shown(SHOWN[0].time_s - 0.01, 9000), *SHOWN[3:]])
    assert found.number == 9000


def test_a_frame_cut_by_a_loss_is_explained_by_it_up_to_the_next_keyframe() -> None:
    for at in range(1, 100):
        (index,) = (index for index, one in enumerate(SHOWN) if one.number == 104)
        is_explained = faults(with_number(index, 9000), hit={at}) == []
        assert not is_explained, at
    for at, is_explained in ((102, True), (103, True), (104, True), (106, False)):
        assert (faults(with_number(index, 9000), hit={at}) == []) is is_explained, at


def judged(wire: Wire, shown: Sequence[Shown], **fields: Any) -> tuple[Verdict, str]:
    report = watched(wire, {1: record(wire, 1)._replace(shown=tuple(shown))}, **fields)
    assert measures(report).attribution is not None
    return judging.verdicts(report, "attribution")["client-1"], judging.detail(report, "attribution", "client-1")


def test_the_judge_takes_a_skipped_frame_for_a_cause_of_a_misread_number() -> None:
    wire = Wire().connect(1).stream(2, 1).last("interrupt", 1)
    seen = [one for one in record(wire, 1).shown if one.number != 30]
    misread = [one._replace(number=29 if one.number == 32 else one.number) for one in seen]
    assert judged(wire, misread) == (Verdict.PASS, "1 of 49 due missing: 1 decoder")
    late = [one._replace(number=29 if one.number == 20 else one.number) for one in seen]  # frame 25 is a keyframe
    verdict, told = judged(wire, late)
    assert verdict is Verdict.ERROR
    assert "1 pictures show numbers of frames that were not due then, and no damage explains it" in told
    assert "shows 29" in told


def test_pictures_behind_a_loss_may_be_misread_until_a_keyframe() -> None:
    wire = Wire().connect(1).stream(2, 1).last("interrupt", 1)
    tap = wire.client(1, lose=frozenset({22}))
    for number, verdict in ((15, Verdict.PASS), (30, Verdict.ERROR)):
        shown = [one._replace(number=700 if one.number == number else one.number) for one in record(wire, 1).shown]
        found, _ = judged(wire, shown, taps={1: tap}, counters=Counters(lost_on_link=1))
        assert found is verdict, number
