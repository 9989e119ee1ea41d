"""Decoding times are moved up, never behind a picture's own time, and nothing else changes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from flume.reader.ffmpeg.decode_times import DecodeTimes


def moved(rows):
    times: DecodeTimes = DecodeTimes()
    out = []
    for number, (dts, pts) in enumerate(rows):
        out += times.push(dts, pts, number)
    return out + times.flush()


def test_a_film_of_usual_rate_stays_as_it_is():
    rows = [(0, 7200), (3600, 18_000), (7200, 10_800), (10_800, 14_400)]
    assert [(each.dts, each.pts) for each in moved(rows)] == rows


def test_slides_without_reordering_stay_as_they_are():
    rows = [(number * 900_000, number * 900_000) for number in range(5)]
    assert [(each.dts, each.pts) for each in moved(rows)] == rows


@given(st.lists(st.permutations(range(5)), min_size=1, max_size=20))
def test_any_order_of_decoding(groups):
    """Groups of five pictures, each decoded in another order, shown one a second, decoded five seconds earlier."""
    shown = [5 * at + place for at, group in enumerate(groups) for place in group]
    rows = [(number * 90_000, (place + 5) * 90_000) for number, place in enumerate(shown)]
    out = moved(rows)
    assert [each.packet for each in out] == list(range(len(rows)))
    assert [each.pts for each in out] == [pts for _, pts in rows]
    assert all(after.dts > before.dts for before, after in itertools.pairwise(out))
    assert all(dts <= each.dts <= each.pts for each, (dts, _) in zip(out, rows, strict=True))
    assert out[0].pts - out[0].dts <= 5 * 90_000
