"""What a soak counts as a leak, and as growth, and how its slices add up. (The soak itself takes minutes.)"""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from soak.measures import Sample, Series, slope
from soak.plot import draw
from soak.report import lines, report
from soak.slices import End, Keeper, Slice, SliceError, Start, read, seconds_left, unfinished
from soak.windows import WindowCheck


def check_of(*events: tuple[str, int | None]) -> WindowCheck:
    check = WindowCheck()
    for what, number in events:
        if what == "close":
            check.close(number)
        else:
            assert number is not None
            {"open": check.open, "take": check.take}[what](number)
    check.end()
    return check


def test_datagrams_of_the_window_are_none_that_leaked_early_late_or_over_the_wrap() -> None:
    early = (("take", 65_534), ("open", 65_534), ("take", 65_535), ("take", 1), ("close", 2), ("take", 0), ("take", 2))
    check = check_of(*early)
    assert (check.leaked, check.received) == (0, 5)


def test_a_window_longer_than_half_the_numbers_is_one_window() -> None:
    check = WindowCheck()
    check.open(100)
    for number in range(100, 200_000):
        check.take(number % 65_536)
    check.close(199_999 % 65_536)
    check.end()
    assert (check.leaked, check.received) == (0, 199_900)


@pytest.mark.parametrize(
    "events",
    [
        (("open", 10), ("take", 10), ("take", 13), ("close", 12)),
        (("open", 10), ("take", 10), ("close", 12), ("take", 13)),
        (("open", 10), ("take", 10), ("close", 12), ("take", 13), ("open", 20)),
        (("open", 10), ("take", 9), ("close", 12)),
        (("open", 10), ("close", None), ("take", 10)),
        (("take", 10),),
    ],
    ids=["before the reply", "after it", "before the next window", "before the first", "nothing sent", "no window"],
)
def test_a_single_datagram_outside_its_window_is_counted(events) -> None:
    assert check_of(*events).leaked == 1


# --- growth ------------------------------------------------------------------------------------------------------


def taken(
    time_s: float, *, memory_mib: float = 70.0, ahead_ms: float | None = 3.0, cpu_s: float = 0.0, stalls: int = 0
) -> Sample:
    return Sample(
        time_s=time_s,
        memory_mib=memory_mib,
        threads=5,
        descriptors=300,
        ahead_ms=ahead_ms,
        server_cpu_s=cpu_s,
        stalls=stalls,
    )


def slice_of(
    samples: Sequence[Sample], *, wanted_s: float = 600.0, status: int = 0, counts: dict[str, int] | None = None
) -> Slice:
    start = Start(began="2026-01-01T12:00:00+00:00", wanted_s=wanted_s, clients=9, seed=1, loss=0.03, revision="abc")
    counts = {"datagrams": 1, "leaked": 0} if counts is None else counts
    return Slice(start, samples, End(seconds=samples[-1].time_s, counts=counts, status=status))


def with_memory(memory: Sequence[float]) -> Slice:
    return slice_of([taken(5.0 * index, memory_mib=value) for index, value in enumerate(memory)])


def test_noise_is_no_growth_and_growth_in_noise_is_found() -> None:
    random = Random(1)
    noise = [70 + random.gauss(0, 1.0) for _ in range(120)]
    assert report([with_memory(noise)]).faults == []
    growing = [value + 10 * index / 120 for index, value in enumerate(noise)]
    (fault,) = report([with_memory(growing)]).faults
    assert fault.startswith("memory_mib grows: mean 7")


def test_what_fills_at_the_beginning_of_a_slice_is_no_growth() -> None:
    filling = [70 - 30 * 0.7**index + index % 2 for index in range(120)]
    assert report([with_memory(filling), with_memory(filling)]).faults == []


def test_slices_have_levels_of_their_own_and_growth_of_them_all_is_found() -> None:
    random = Random(2)
    level = [[base + random.gauss(0, 2.0) for _ in range(60)] for base in (40.0, 90.0, 60.0)]
    assert report([with_memory(memory) for memory in level]).faults == []
    growing = [[value + 5 * index / 60 for index, value in enumerate(memory)] for memory in level]
    made = report([with_memory(memory) for memory in growing])
    assert made.seconds == 3 * 59 * 5.0
    assert 40 < made.memory_mib.an_hour < 80, "5 MiB in 5 minutes"
    assert [fault.partition(":")[0] for fault in made.faults] == ["memory_mib grows"]


def test_neighbours_that_resemble_each_other_widen_the_interval() -> None:
    random = Random(3)
    white = [random.gauss(0, 1.0) for _ in range(2000)]
    red = [0.0]
    for value in white[1:]:
        red.append(0.9 * red[-1] + value * (1 - 0.9**2) ** 0.5)
    times_s = [5.0 * index for index in range(2000)]
    narrow, wide = slope([Series(times_s, white)]), slope([Series(times_s, red)])
    assert 3 < wide.plus_minus / narrow.plus_minus < 6, "19 times the variance, 4.4 times the width"


def test_too_few_samples_say_nothing() -> None:
    made = report([slice_of([taken(0.0), taken(5.0)])])
    assert not made.memory_mib.grows(1.0)
    assert made.memory_mib.plus_minus == math.inf


def test_leaks_drift_silence_and_a_server_that_fails_are_faults() -> None:
    samples = [taken(5.0 * index) for index in range(30)]
    running_away = [taken(5.0 * index, ahead_ms=-10.0 * index) for index in range(30)]
    assert report([slice_of(samples)]).faults == []
    assert report([slice_of(samples, counts={"datagrams": 9, "leaked": 2})]).faults == ["2 datagrams leaked"]
    unanswered = {"datagrams": 9, "unanswered": 1}
    assert report([slice_of(samples, counts=unanswered)]).faults == ["1 commands were not answered"]
    assert report([slice_of(samples), slice_of(running_away)]).faults == [
        "slice 2: the stream drifted by -220 ms from the clock"
    ]
    assert report([slice_of(samples, counts={})]).faults == ["no client received anything"]
    assert report([slice_of(samples, status=-11)]).faults == ["slice 1: the server ended with status -11"]
    end = End(seconds=145.0, counts={"datagrams": 1}, status=0, failure="TimeoutError: ")
    assert report([slice_of(samples)._replace(end=end)]).faults == ["slice 1 broke off: TimeoutError: "]


def stalling(*, counted: int, by_ms: float = -342.0) -> Slice:
    """Return a slice whose stream falls behind the clock after ten samples; *counted* is what the server says."""
    flat = [taken(5.0 * index, ahead_ms=0.0) for index in range(10)]
    return slice_of([*flat, *(taken(5.0 * n, ahead_ms=by_ms, stalls=counted) for n in range(10, 30))])


def test_a_stall_that_the_server_counts_is_said_and_is_no_drift() -> None:
    made = report([stalling(counted=1)])
    assert made.faults == []
    assert "drift +0.0 ms beside 1 stalls of 342 ms" in "\n".join(lines(made))
    assert made.ahead_ms.an_hour == 0.0


def test_a_stall_that_is_not_counted_and_a_step_that_is_none_are_faults() -> None:
    (fault,) = report([stalling(counted=0)]).faults
    assert fault == "slice 1: the stream stalled 1 times, counted 0"
    for by_ms in (-200.0, 300.0):  # too small for a stall, and the wrong way
        (fault,) = report([stalling(counted=1, by_ms=by_ms)]).faults
        assert "drifted by" in fault


def test_the_counts_and_the_cpu_time_of_all_slices() -> None:
    samples = [taken(5.0 * index, cpu_s=0.5 * index) for index in range(30)]
    made = report([slice_of(samples, counts={"datagrams": 9, "leaked": 0}), slice_of(samples)])
    assert made.counts == {"datagrams": 10, "leaked": 0}
    assert [part.server_cpu_percent for part in made.slices] == [10.0, 10.0]
    assert "slice 2: 2026-01-01T12:00:00+00:00, 2.4 min, abc; drift +0.0 ms beside 0 stalls" in "\n".join(lines(made))


# --- slices ------------------------------------------------------------------------------------------------------


def keep(folder: Path, one: Slice) -> None:
    with Keeper(folder) as keeper:
        keeper.keep(one.start)
        for each in one.samples:
            keeper.keep(each)
        if one.end is not None:
            keeper.keep(one.end)


def test_slices_are_kept_and_read_in_their_order(tmp_path: Path) -> None:
    first, second = with_memory([70.0] * 9), with_memory([80.0] * 5)
    keep(tmp_path, first)
    keep(tmp_path, second)
    assert read(tmp_path) == [first, second]


def test_a_slice_that_was_killed_keeps_its_samples(tmp_path: Path) -> None:
    samples = [taken(float(index)) for index in range(9)]
    killed = slice_of(samples)._replace(end=None)
    keep(tmp_path, killed)
    with (tmp_path / "slice-001.jsonl").open("ab") as file:
        file.write(b'{"type":"sample","time_s":9')
    assert read(tmp_path) == [killed]
    assert killed.seconds == 8.0
    assert not report([killed]).slices[0].is_whole
    assert "killed" in lines(report([killed]))[1]


@pytest.mark.parametrize("text", [b"", b"{}\n", b'{"type":"sample"}\n', b"no JSON\n", b"\n", b'{"type":"st'])
def test_a_file_that_is_no_slice_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "slice-001.jsonl").write_bytes(text)
    with pytest.raises(SliceError, match=r"slice-001\.jsonl is no slice of a soak"):
        read(tmp_path)


def test_two_soaks_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with Keeper(tmp_path), pytest.raises(SliceError, match="another soak runs in"):
        keep(tmp_path, with_memory([70.0]))
    keep(tmp_path, with_memory([70.0]))
    assert len(list(tmp_path.glob("slice-*.jsonl"))) == 2


def test_a_soak_that_was_stopped_is_continued_and_no_other_one(tmp_path: Path) -> None:
    folders = [tmp_path / "soak-1", tmp_path / "soak-2"]
    keep(folders[0], slice_of([taken(0.0), taken(200.0)]))
    assert unfinished(folders[:1], 600.0, 9) == folders[0]
    assert seconds_left(read(folders[0]), 600.0) == 400.0
    assert unfinished(folders[:1], 1200.0, 9) is None, "another length"
    assert unfinished(folders[:1], 600.0, 10) is None, "another number of clients"
    keep(folders[1], slice_of([taken(0.0), taken(595.0)]))
    assert seconds_left(read(folders[1]), 600.0) == 0.0
    assert unfinished(folders, 600.0, 9) is None, "the newest one is complete"


def test_the_plot_has_each_slice_with_its_start(tmp_path: Path) -> None:
    slices = [with_memory([70.0 + index % 3 for index in range(300)]), with_memory([60.0] * 300)]
    draw(report(slices), slices, tmp_path / "soak.svg")
    text = (tmp_path / "soak.svg").read_text()
    assert text.count("2026-01-01 12:00") == 2
    assert "memory, MiB: mean 65." in text
