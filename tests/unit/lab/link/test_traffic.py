"""The frames of a calibration: enough for each figure, few enough for the link and for one program."""

import pytest

from flume.lab.link import traffic
from flume.lab.link.profile import Direction

BURSTY = Direction(loss_pct=2, loss_burst_datagrams=2)
SLOW = Direction(delay_ms=100, rate_kbit=330, queue_bytes=20_000)
FAST = Direction(rate_kbit=30_000, queue_ms=100)


def test_all_directions_together_stay_within_what_one_program_sends() -> None:
    """Even where each direction alone would be sent faster."""
    planned = traffic.plans({str(number): BURSTY for number in range(10)})
    seconds = max(plan.small.frames * plan.small.step_us for plan in planned.values()) / 1e6
    assert sum(plan.small.frames for plan in planned.values()) / seconds <= traffic.TOTAL_FRAMES_PER_S
    assert all(plan.small.frames == traffic.FRAMES_BURST for plan in planned.values())


def test_small_frames_leave_a_slow_links_queue_empty() -> None:
    """They take less than half of its rate."""
    small = traffic.plans({"up": SLOW})["up"].small
    kbit = 8 * small.frame_bytes / (small.step_us / 1e6) / 1000
    assert kbit <= traffic.RATE_SHARE * 330


@pytest.mark.parametrize("direction", [SLOW, FAST])
def test_a_train_fits_into_the_queue(direction: Direction) -> None:
    """It is sent when the small frames have arrived, and no frame of it finds the queue full."""
    plan = traffic.plans({"down": direction})["down"]
    assert plan.train is not None
    assert plan.train.frames * plan.train.frame_bytes <= direction.queue_room_bytes
    assert plan.train.frames < direction.limit_datagrams
    assert plan.train.start_us > plan.small.frames * plan.small.step_us + 1000 * direction.delay_ms


def test_without_a_rate_there_is_no_train() -> None:
    """A train measures nothing else."""
    assert traffic.plans({"down": BURSTY})["down"].train is None


def test_a_rate_that_one_program_cannot_fill_is_not_measured() -> None:
    """The sender would be the bottleneck, and the link look slow."""
    rates = (traffic.RATE_MAX_KBIT, 2 * traffic.RATE_MAX_KBIT)
    planned = [traffic.plans({"down": Direction(rate_kbit=rate, queue_ms=100)})["down"] for rate in rates]
    assert [plan.train is None for plan in planned] == [False, True]


def test_the_last_frame_is_waited_for() -> None:
    """Its delay, the extremes of the jitter, and the duration of the train on a slow link are included."""
    directions = {
        "down": SLOW,
        "up": Direction(delay_ms=300, jitter_ms=20, distribution="normal", jitter_reorders=True),
    }
    planned = traffic.plans(directions)
    drained = traffic.drain_us(directions, planned)
    assert drained >= 1000 * (300 + 4 * 20)
    train = planned["down"].train
    assert train is not None
    assert (
        drained + max(plan.end_us for plan in planned.values())
        >= train.start_us + 8 * 1000 * train.frames * train.frame_bytes / 330
    )


def test_a_slow_link_does_not_slow_down_the_others() -> None:
    """Frames that are further apart than the link's delay would not show that it changes their order."""
    damaged = Direction(delay_ms=10, reorder_pct=25)
    planned = traffic.plans({"down": SLOW, "up": damaged})
    assert planned["down"].small.step_us >= 10_000
    assert planned["up"].small.step_us < 1_000


def test_a_computer_that_was_too_busy_is_asked_for_less() -> None:
    """As many frames, a quarter of them a second."""
    links = {str(number): BURSTY for number in range(10)}
    fast, slow = (traffic.plans(links, effort)["1"].small for effort in (traffic.BRIEF, traffic.BRIEF.gentler()))
    assert slow.frames == fast.frames
    assert slow.step_us == pytest.approx(4 * fast.step_us, rel=0.05)


def test_a_brief_measurement_sends_a_part_and_never_too_little() -> None:
    """It still finds a link that is badly wrong."""
    planned = traffic.plans({"down": BURSTY, "up": Direction()}, traffic.BRIEF)
    assert planned["down"].small.frames == traffic.BRIEF.share * traffic.FRAMES_BURST
    assert planned["up"].small.frames == traffic.FRAMES_MIN


def test_beside_a_stream_no_queue_is_filled_and_little_is_sent() -> None:
    """The measurement must not make the stream lose a datagram."""
    planned = traffic.plans({str(number): FAST for number in range(10)}, traffic.BESIDE_A_STREAM)
    assert all(plan.train is None for plan in planned.values())
    seconds = max(plan.small.frames * plan.small.step_us for plan in planned.values()) / 1e6
    assert sum(plan.small.frames for plan in planned.values()) / seconds <= traffic.BESIDE_A_STREAM.frames_per_s
