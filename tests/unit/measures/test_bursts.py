"""Bursts and gaps, against the definition of RFC 3611 written out the slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.measures.bursts import GMIN, NONE, BurstsAndGaps, bursts_and_gaps

EXAMPLE = "11110111111111111111111X111X1011110111111111111111111X111111111"


def lost(pattern: str) -> list[int]:
    return [at for at, mark in enumerate(pattern) if mark != "1"]


def test_the_example_of_the_rfc() -> None:
    found = bursts_and_gaps(lost(EXAMPLE), len(EXAMPLE))
    assert found == BurstsAndGaps(1, 12, 4, 2, 51, 2)
    assert (found.burst_mean, found.gap_mean) == (12, 25.5)
    assert (round(found.burst_density or 0, 2), round(found.gap_density or 0, 2)) == (0.33, 0.04)


def test_a_clean_stream_is_one_gap() -> None:
    found = bursts_and_gaps([], 1000)
    assert found == BurstsAndGaps(0, 0, 0, 1, 1000, 0)
    assert (found.burst_mean, found.burst_density, found.gap_density) == (None, None, 0)


def test_nothing() -> None:
    assert bursts_and_gaps([], 0) == NONE
    assert NONE.gap_mean is None


def test_sixteen_arrivals_part_two_losses_and_fifteen_do_not() -> None:
    assert bursts_and_gaps([20, 20 + GMIN + 1], 100).bursts == 0
    assert bursts_and_gaps([20, 20 + GMIN], 100) == BurstsAndGaps(1, 17, 2, 2, 83, 0)


def test_a_burst_from_end_to_end_leaves_no_gap() -> None:
    assert bursts_and_gaps([0, 1, 2], 3) == BurstsAndGaps(1, 3, 3, 0, 0, 0)


def test_intervals_add_up() -> None:
    one, other = bursts_and_gaps([3, 4], 50), bursts_and_gaps([30], 60)
    assert one + other == BurstsAndGaps(1, 2, 2, 3, 108, 1)


@pytest.mark.parametrize("positions", [[3, 3], [4, 2], [100], [-1]])
def test_positions_that_cannot_be(positions: list[int]) -> None:
    with pytest.raises(ValueError, match="rise from 0 to below 100"):
        bursts_and_gaps(positions, 100)


@given(st.text("10", max_size=200))
def test_it_is_the_definition(pattern: str) -> None:
    """Split at each stretch of Gmin arrivals: what is left, from its first loss to its last, is a burst."""
    pieces = [piece.strip("1") for piece in _split(pattern)]
    bursts = [piece for piece in pieces if len(piece) > 1]
    found = bursts_and_gaps(lost(pattern), len(pattern))
    assert (found.bursts, found.burst_datagrams) == (len(bursts), sum(map(len, bursts)))
    assert found.burst_lost == sum(piece.count("0") for piece in bursts)
    assert found.burst_lost + found.gap_lost == pattern.count("0")
    assert found.burst_datagrams + found.gap_datagrams == len(pattern)


def _split(pattern: str) -> list[str]:
    pieces, piece, arrivals = [], "", 0
    for mark in pattern:
        piece += mark
        arrivals = arrivals + 1 if mark == "1" else 0
        if arrivals == GMIN:
            pieces.append(piece)
            piece = ""
    return [*pieces, piece]
