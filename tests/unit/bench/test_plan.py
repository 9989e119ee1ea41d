"""The cells of a plan, and when a sender leaves a ladder."""

import itertools

import msgspec
import pytest

from bench import plan
from bench.plan import Options
from bench.senders import all_senders
from bench.values import Lateness, Outcome

NAMES = tuple(all_senders("x86_64"))
LATE = Lateness(p50_ms=1, p99_ms=5, max_ms=9, datagrams=100)


def options(**more: object) -> Options:
    return Options(**{"senders": NAMES, **more})  # type: ignore[arg-type]


def test_quick_measures_the_judged_cells_and_climbs_no_ladder() -> None:
    quick = options(plan="quick")
    assert plan.ladders(quick) == []
    parts = {step.part for step in plan.fixed_steps(quick)}
    assert parts == {"cost", "large", "dead"}


def test_a_full_run_adds_all_senders_and_the_ladders() -> None:
    full = options()
    cost = [step.cell.sender for step in plan.fixed_steps(full) if step.part == "cost"]
    assert set(cost) == set(NAMES) - {plan.PLAYERS}
    assert [ladder.describe for ladder in plan.ladders(full)] == [
        "8 Mbit/s, wire, offload on",
        "2 Mbit/s, wire, offload on",
        "25 Mbit/s, wire, offload on",
        "8 Mbit/s, wire, offload off",
        "8 Mbit/s, sockets, offload on",
    ]
    assert not {*plan.BESIDE, plan.PLAYERS} & set(plan.climbers(full))


def test_repeats_are_interleaved() -> None:
    steps = [step for step in plan.fixed_steps(options(plan="quick")) if step.part == "cost"]
    assert [step.repeat for step in steps] == sorted(step.repeat for step in steps)
    for _, taken in itertools.groupby(steps, lambda step: (step.repeat, step.cell.path)):
        senders = [step.cell.sender for step in taken]
        assert len(senders) == len(set(senders)) >= len(plan.JUDGED)


def test_every_measured_cell_has_one_that_tells_what_all_of_it_would_be() -> None:
    for chosen in (options(), options(plan="quick"), options(clients=(5,), rates=(2, 25))):
        alone = {(step.cell.sender, step.cell.rate_mbit) for step in plan.alone_steps(chosen)}
        cells = [step.cell for step in plan.fixed_steps(chosen)]
        cells += [plan.rung_cell(chosen, ladder, name, 100) for ladder in plan.ladders(chosen) for name in NAMES]
        assert {(cell.sender, cell.rate_mbit) for cell in cells} <= alone


def test_named_clients_replace_the_plan() -> None:
    chosen = options(clients=(5, 10), rates=(2,), senders=("flume", "limit"), repeats=1)
    cells = [step.cell for step in plan.fixed_steps(chosen)]
    assert {(cell.clients, cell.rate_mbit, cell.path) for cell in cells} == set(
        itertools.product((5, 10), (2,), ("sockets", "wire"))
    )
    assert plan.ladders(chosen) == []
    assert not chosen.wants("steering")


def test_parts_can_be_chosen() -> None:
    chosen = options(parts=("dead",))
    assert {step.part for step in plan.fixed_steps(chosen)} == {"dead"}
    assert plan.rates_used(chosen) == [8]


def test_players_and_our_own_clients_take_turns_and_each_is_first_in_turn() -> None:
    chosen = options(parts=("rtsp",), repeats=1)
    steps = plan.fixed_steps(chosen)
    assert {step.part for step in steps} == {"rtsp"}
    pairs = [[step.cell.sender for step in taken] for _, taken in itertools.groupby(steps, lambda step: step.repeat)]
    assert len(pairs) == plan.RTSP_REPEATS
    assert pairs[0] == pairs[1][::-1] == pairs[2]
    assert {*pairs[0]} == {plan.FLUME, plan.PLAYERS}
    assert len({msgspec.structs.replace(step.cell, sender="") for step in steps}) == 1, "else they are alike"
    assert {step.cell.sender for step in plan.alone_steps(chosen)} == {plan.FLUME, plan.PLAYERS}
    assert not options(plan="quick").wants("rtsp")


def test_the_part_with_players_changes_no_ratio_of_the_others() -> None:
    of: dict[str, set[int]] = {"cost": set(), "rtsp": set()}
    for step in plan.fixed_steps(options(parts=("cost", "rtsp"))):
        of[step.part].add(step.repeat)
    assert not of["cost"] & of["rtsp"]


def test_tick_and_batch_reach_every_cell() -> None:
    chosen = options(plan="quick", tick_ms=20.0, batch=16)
    assert {(step.cell.tick_ms, step.cell.batch) for step in plan.fixed_steps(chosen)} == {(20.0, 16)}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(per_client_per_s=760, lateness=LATE), None),
        (Outcome(per_client_per_s=700, lateness=LATE), "delivered 92%"),
        (Outcome(per_client_per_s=760, lateness=msgspec.structs.replace(LATE, max_ms=1500)), "up to 1.5 s late"),
        (Outcome(failure="ended with 1: no"), "ended with 1: no"),
    ],
)
def test_who_gives_up(outcome: Outcome, reason: str | None) -> None:
    assert plan.gives_up(outcome, 760) == reason


def test_what_cannot_be_carried_is_not_tried() -> None:
    assert plan.too_much(Outcome(cores=0.5), 100, 200) is None
    assert plan.too_much(Outcome(cores=0.5), 100, 400) == "would need about 2.0 cores"
