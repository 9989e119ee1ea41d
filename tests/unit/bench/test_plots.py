"""The lines and labels of the plots; the drawing itself is not tested."""

from itertools import pairwise

import pytest

from bench.analysis import Spread
from bench.plots import lines, spread_out
from bench.summary import Row
from bench.values import Cell


def row(sender: str, clients: int, cost: float, share: float = 1.0) -> Row:
    one = Cell(sender=sender, clients=clients, rate_mbit=8)
    return Row(
        cell=one, repeats=1, cpu_us_per_datagram=Spread(cost, cost, cost, 1), share=Spread(share, share, share, 1)
    )


def cost(each: Row) -> float:
    assert each.cpu_us_per_datagram is not None
    return each.cpu_us_per_datagram.median


def test_a_line_needs_two_places_and_knows_where_the_stream_had_holes() -> None:
    rows = [
        row("flume", 100, 2),
        row("flume", 10, 5),
        row("vlc", 10, 9),
        row("naive", 10, 9),
        row("naive", 100, 8, 0.5),
    ]
    found = lines(rows, lambda each: each.cell.clients, cost)
    assert found == {"flume": [(10, 5, True), (100, 2, True)], "naive": [(10, 9, True), (100, 8, False)]}


@pytest.mark.parametrize("heights", [[0.1, 0.1, 0.1], [0.9, 0.98, 0.99, 1.0], [0.0, 0.5, 1.0], []])
def test_no_label_stands_on_another(heights: list[float]) -> None:
    placed = spread_out(heights, least=0.05)
    assert len(placed) == len(heights)
    assert all(after - before >= 0.05 - 1e-9 for before, after in pairwise(placed))
    assert sum(placed) == pytest.approx(sum(heights))


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert spread_out([0.0, 0.5, 0.52, 1.0], least=0.1) == pytest.approx([0.0, 0.46, 0.56, 1.0])
