"""A link as values: an impossible figure is refused with its name, and the limit is computed."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.lab.link.profile import FRAME_BYTES, MIN_UNLIMITED_DATAGRAMS, Direction, Profile, Step


@pytest.mark.parametrize(
    ("figures", "key"),
    [
        ({"delay_ms": -1}, "delay_ms"),
        ({"delay_ms": math.nan}, "delay_ms"),
        ({"delay_ms": 60_001}, "delay_ms"),
        ({"delay_ms": 5, "jitter_ms": 6, "distribution": "normal", "jitter_reorders": False}, "jitter_ms"),
        ({"delay_ms": 9000, "jitter_ms": 2200, "distribution": "normal", "jitter_reorders": False}, "jitter_ms"),
        ({"delay_ms": 5, "jitter_ms": 1, "jitter_reorders": False}, "distribution"),
        ({"delay_ms": 5, "jitter_ms": 1, "distribution": "poisson", "jitter_reorders": False}, "distribution"),
        ({"delay_ms": 5, "distribution": "normal"}, "distribution"),
        ({"delay_ms": 5, "jitter_ms": 1, "distribution": "normal"}, "jitter_reorders"),
        ({"delay_ms": 5, "jitter_reorders": True}, "jitter_reorders"),
        ({"loss_pct": 101}, "loss_pct"),
        ({"loss_pct": math.nan}, "loss_pct"),
        ({"duplicate_pct": -0.1}, "duplicate_pct"),
        ({"corrupt_pct": 100.5}, "corrupt_pct"),
        ({"loss_burst_datagrams": 3}, "loss_burst_datagrams"),
        ({"loss_pct": 5, "loss_burst_datagrams": 0.5}, "loss_burst_datagrams"),
        ({"loss_pct": 90, "loss_burst_datagrams": 2}, "loss_burst_datagrams"),
        ({"reorder_pct": 5}, "reorder_pct"),
        ({"rate_kbit": 1000}, "rate_kbit"),
        ({"rate_kbit": 0, "queue_ms": 10}, "rate_kbit"),
        ({"rate_kbit": math.inf, "queue_ms": 10}, "rate_kbit"),
        ({"rate_kbit": 1000, "queue_ms": 10, "queue_bytes": 2000}, "rate_kbit"),
        ({"rate_kbit": 1000, "queue_ms": 1}, "queue_ms"),
        ({"rate_kbit": 1000, "queue_ms": math.inf}, "queue_ms"),
        ({"rate_kbit": 1000, "queue_bytes": 1500}, "queue_bytes"),
        ({"queue_bytes": 20_000}, "queue_bytes"),
        (
            {
                "delay_ms": 5,
                "jitter_ms": 1,
                "distribution": "normal",
                "jitter_reorders": True,
                "rate_kbit": 1000,
                "queue_ms": 100,
            },
            "jitter_reorders",
        ),
    ],
)
def test_an_impossible_figure_is_refused_by_name(figures: dict[str, Any], key: str):
    with pytest.raises(SettingsError, match=r"is not possible|is missing") as caught:
        Direction(**figures)
    assert caught.value.key == key


def test_the_limit_holds_what_is_in_flight_and_the_queue():
    link = Direction(
        delay_ms=300, jitter_ms=20, distribution="normal", jitter_reorders=False, rate_kbit=25_000, queue_bytes=100_000
    )
    in_flight = 25_000_000 / 8 * 0.38 / FRAME_BYTES
    queue = 100_000 / FRAME_BYTES
    assert in_flight + queue <= link.limit_datagrams <= in_flight + queue + 3


def test_five_clients_fit_a_geostationary_delay_without_a_rate():
    # Five clients of 8 Mbit/s and 300 ms at one egress: 1104 datagrams, the case that netem's default of 1000 loses.
    assert Direction(delay_ms=300).limit_datagrams > 1104
    assert Direction().limit_datagrams == MIN_UNLIMITED_DATAGRAMS


@given(st.floats(0.01, 80), st.floats(1, 50))
def test_burst_figures_and_the_chain_agree(loss_pct: float, burst: float):
    if burst < loss_pct / (100 - loss_pct):
        return
    link = Direction(loss_pct=loss_pct, loss_burst_datagrams=burst)
    p, r = link.burst_begin_pct, link.burst_end_pct
    assert 0 <= p <= 100 + 1e-9
    assert 0 < r <= 100
    assert 100 * p / (p + r) == pytest.approx(loss_pct)
    assert 100 / r == pytest.approx(burst)


def test_single_loss_is_the_chain_without_memory():
    link = Direction(loss_pct=5)
    assert link.burst_begin_pct == pytest.approx(5)
    assert link.burst_end_pct == 95


def test_only_a_link_that_does_something_needs_netem():
    still, slow = Direction(), Direction(delay_ms=1)
    assert not Profile(name="a", description="", down=still, up=still).needs_netem
    assert Profile(name="a", description="", down=still, up=slow).needs_netem
    steps = (Step(at_s=1, down=slow, up=still),)
    assert Profile(name="a", description="", down=still, up=still, period_s=2, steps=steps).needs_netem


def test_the_timeline_begins_at_once_and_is_in_order():
    still, slow = Direction(), Direction(delay_ms=1)
    steps = (Step(at_s=1, down=slow, up=still), Step(at_s=2, down=still, up=still))
    profile = Profile(name="a", description="", down=still, up=still, period_s=3, steps=steps)
    assert [step.at_s for step in profile.timeline()] == [0, 1, 2]
    for wrong in (steps[::-1], (steps[0], steps[0]), (Step(at_s=3, down=slow, up=still),)):
        with pytest.raises(SettingsError, match="at_s"):
            Profile(name="a", description="", down=still, up=still, period_s=3, steps=wrong)
