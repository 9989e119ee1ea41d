"""Packets of all tracks in the order of their DTS; no track is waited for without end."""

from hypothesis import given
from hypothesis import strategies as st

from flume.reader.ffmpeg import interleaver as module
from flume.reader.ffmpeg.interleaver import Interleaver

VIDEO, AUDIO, TEXT = 0x100, 0x110, 0x120


def packets(ready):
    return [each.packet for each in ready]


def order(interleaver: Interleaver, rows):
    out = []
    for track, dts in rows:
        out += interleaver.push(track, dts, 100, (track, dts))
    return packets(out + interleaver.flush())


def test_tracks_in_separate_blocks_come_out_interleaved():
    rows = [(VIDEO, at) for at in range(0, 1000, 10)] + [(AUDIO, at) for at in range(5, 1000, 10)]
    out = order(Interleaver((VIDEO, AUDIO), patience=2000), rows)
    assert [dts for _, dts in out] == sorted(dts for _, dts in rows)


def test_a_track_that_has_ended_holds_the_others_for_the_patience_only():
    interleaver: Interleaver = Interleaver((VIDEO, AUDIO), patience=100, audio=(AUDIO,))
    interleaver.push(AUDIO, 0, 1, (AUDIO, 0))
    behind = []
    for at in range(0, 1000, 10):
        out = interleaver.push(VIDEO, at, 1, (VIDEO, at))
        behind.append(at - out[-1].packet[1] if out else None)
    assert max(each for each in behind if each is not None) <= 110
    assert behind[-1] == 0, "it is waited for no longer"


def test_a_track_that_returns_is_waited_for_again():
    interleaver: Interleaver = Interleaver((VIDEO, AUDIO), patience=100, audio=(AUDIO,))
    order(interleaver, [(VIDEO, at) for at in range(0, 300, 10)])
    interleaver.push(AUDIO, 300, 1, (AUDIO, 300))
    interleaver.push(VIDEO, 310, 1, (VIDEO, 310))
    assert packets(interleaver.push(VIDEO, 330, 1, (VIDEO, 330))) == [], "the sound at 300 may be followed by more"
    assert packets(interleaver.push(AUDIO, 320, 1, (AUDIO, 320))) == [(AUDIO, 300), (VIDEO, 310)]


def test_what_waits_is_bounded_in_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    interleaver: Interleaver = Interleaver((VIDEO, AUDIO), patience=1 << 40)
    held = 0
    for at in range(50):
        held += 100 - 100 * len(interleaver.push(VIDEO, at, 100, (VIDEO, at)))
        assert held <= 1100


def test_subtitles_are_put_between_and_never_waited_for():
    interleaver: Interleaver = Interleaver((VIDEO,), patience=100)
    assert packets(interleaver.push(VIDEO, 0, 1, "a")) == ["a"]
    assert packets(interleaver.push(TEXT, 5, 1, "t")) == []
    assert packets(interleaver.push(VIDEO, 10, 1, "b")) == ["t", "b"]


def test_the_last_packet_before_a_pause_is_known():
    interleaver: Interleaver = Interleaver((VIDEO, AUDIO), patience=100, audio=(AUDIO,))
    out = []
    for at in range(0, 50, 10):
        out += interleaver.push(AUDIO, at, 1, (AUDIO, at))
    for at in range(0, 300, 10):
        out += interleaver.push(VIDEO, at, 1, (VIDEO, at))
    assert [each.packet for each in out if each.pauses] == [(AUDIO, 40)]


@given(
    st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO, TEXT]), st.integers(0, 10_000)), max_size=300),
    st.integers(0, 5000),
)
def test_nothing_is_lost_or_doubled(rows, patience):
    numbered = [(track, dts + index / 1000) for index, (track, dts) in enumerate(rows)]
    assert sorted(order(Interleaver((VIDEO, AUDIO), patience=patience), numbered)) == sorted(numbered)
