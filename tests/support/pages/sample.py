"""Reports for tests of the page: clients of every kind, with figures that agree with each other."""

import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from flume.lab.trial.measures import (
    Attribution,
    Freeze,
    Measures,
    PictureFigures,
    PlaybackFigures,
    Quality,
    Series,
    Spread,
    WireFigures,
)
from flume.lab.trial.verdict import (
    BIN_S,
    Balance,
    Check,
    ClientReport,
    CommandReport,
    LinkFigure,
    Network,
    Report,
    TapReport,
    Timeline,
    Verdict,
    worst,
)
from flume.measures.ts.values import StreamFigures, StreamFinding

PER_BIN = 30
"""Datagrams in a tenth of a second."""
KBIT_PER_DATAGRAM = 1316 * 8 / 1000
FRAMES_PER_S = 25


class Losses(NamedTuple):
    """What is lost of the datagrams of one bin, by cause."""

    link: int = 0
    queue: int = 0
    beyond: int = 0


def a_client(number: int, **changes: Any) -> ClientReport:
    """Return client *number*: connected and active all the time, nothing lost, nothing measured."""
    client = ClientReport(
        name=f"client-{number}",
        address=f"198.18.0.{10 + number}",
        verdict=Verdict.PASS,
        commands=[CommandReport(time_s=0.2, command="connect", answer="ok", answer_ms=1.2)],
        active_windows=[(0.3, 60.0)],
        datagrams_active=17900,
        datagrams_leaked=0,
        leak_reasons={},
        datagrams_lost=0,
        loss_pct=0.0,
        join_ms=412.0,
        first_datagram_ms=38.5,
        frames_due=1490,
        frames_cut=1,
        frames_displayed=1490,
        player="headless",
        balance=Balance(sent=17900, received=17900),
        timeline=Timeline(bin_s=BIN_S, sent=[PER_BIN] * 600, leaked=[0] * 600),
    )
    return msgspec.structs.replace(client, **changes)


class _Course(NamedTuple):
    """What happened in each bin of one client: whether it was active, what it lost, whether its picture stood still."""

    active: list[bool]
    lost: list[Losses]
    frozen: list[bool]

    @property
    def sent(self) -> int:
        return PER_BIN * sum(self.active)

    @property
    def arrived(self) -> list[int]:
        return [PER_BIN - sum(one) if on else 0 for on, one in zip(self.active, self.lost, strict=True)]

    def total(self, cause: str) -> int:
        return sum(getattr(one, cause) for one in self.lost)


def streamed(
    number: int,
    windows: list[tuple[float, float]],
    losses: Callable[[float], Losses] = lambda _: Losses(),
    *,
    duration_s: float = 60.0,
    freezes: tuple[tuple[float, float], ...] = (),
    pictures: PictureFigures | None = None,
    **changes: Any,
) -> ClientReport:
    """Return a client that was active in *windows* and lost *losses* at each time; all its figures follow."""
    times = [position * BIN_S for position in range(int(duration_s / BIN_S))]
    active = [any(opened <= time < closed for opened, closed in windows) for time in times]
    course = _Course(
        active,
        [losses(time) if on else Losses() for time, on in zip(times, active, strict=True)],
        [any(start <= time < start + length for start, length in freezes) for time in times],
    )
    on_link, beyond = course.total("link") + course.total("queue"), course.total("beyond")
    sent, due = course.sent, int(FRAMES_PER_S * sum(active) * BIN_S)
    missing = min(due, sum(round(FRAMES_PER_S * length) for _, length in freezes))
    values: dict[str, Any] = {
        "commands": _commands(windows),
        "active_windows": windows,
        "datagrams_active": sent - on_link,
        "datagrams_lost": on_link + beyond,
        "loss_pct": round(100 * (on_link + beyond) / sent, 4),
        "frames_due": due,
        "frames_displayed": due - missing,
        "balance": Balance(
            sent=sent, received=sent - on_link - beyond, lost_on_link=on_link, dropped_by_firewall=beyond
        ),
        "timeline": Timeline(bin_s=BIN_S, sent=[PER_BIN if on else 0 for on in active], leaked=[0] * len(active)),
        "measures": Measures(
            wire=_wire(course),
            stream=_stream(course),
            playback=PlaybackFigures(
                join_ms=412.0,
                resume_ms=[210.0] * (len(windows) - 1),
                frames_due=due,
                frames_shown=due - missing,
                frames_late=0,
                freezes=[Freeze(start_s=start, duration_s=length) for start, length in freezes],
                frozen_pct=round(100 * sum(length for _, length in freezes) / (sum(active) * BIN_S), 2),
            ),
            attribution=Attribution(missing=missing, link=missing),
            pictures=pictures,
            series=_series(course, random.Random(1), compared=pictures is not None),
        ),
    }
    return a_client(number, **{**values, **changes})


def _commands(windows: list[tuple[float, float]]) -> list[CommandReport]:
    commands = [CommandReport(time_s=windows[0][0] - 0.1, command="connect", answer="ok", answer_ms=1.2)]
    for (_, closed), (opened, _) in itertools.pairwise(windows):
        commands.append(CommandReport(time_s=closed - 0.02, command="interrupt", answer="ok", answer_ms=20.1))
        commands.append(CommandReport(time_s=opened, command="continue", answer="ok", answer_ms=0.9))
    return commands


def _wire(course: _Course) -> WireFigures:
    link, queue, sent = course.total("link"), course.total("queue"), course.sent
    return WireFigures(
        expected=sent,
        received=sent - link - queue,
        lost=link + queue,
        duplicates=0,
        reordered=3 * bool(queue),
        loss_runs={1: link, 4: queue // 4} if link + queue else {},
        longest_run=4 if queue else min(1, link),
        jitter_ms=0.82,
        jitter_most_ms=6.4,
        delay_ms=Spread(count=sent, least=20.0, median=21.5, p95=23.1, p99=24.0, most=31.2),
        delay_factor_ms=42.1,
        longest_silence_ms=118.0,
        peak_kbit=3410.0,
    )


def _stream(course: _Course) -> StreamFigures:
    error = StreamFinding(
        indicator="1.4",
        name="Continuity_count_error",
        time_s=12.34,
        packet=86201,
        pid=256,
        detail="counter 7 after 3",
    )
    link = course.total("link")
    return StreamFigures(
        packets=course.sent * 7, counts={"1.1": 0, "1.4": link, "1.6": 0}, findings=[error] if link else []
    )


def _series(course: _Course, chance: random.Random, *, compared: bool) -> Series:
    bins = list(enumerate(zip(course.active, course.lost, course.frozen, strict=True)))
    return Series(
        bin_s=BIN_S,
        rate_kbit=[round(count * KBIT_PER_DATAGRAM / BIN_S, 1) for count in course.arrived],
        lost_link=[one.link for one in course.lost],
        lost_queue=[one.queue for one in course.lost],
        lost_host=[0] * len(bins),
        lost_beyond=[one.beyond for one in course.lost],
        delay_ms=[
            round(20 + 8 * one.queue + chance.random() * 3, 2) if count else None
            for one, count in zip(course.lost, course.arrived, strict=True)
        ],
        shown=[(2 + position % 2) if on and not still else 0 for position, (on, _, still) in bins],
        vmaf=[
            None if not on or position % 5 else round(max(4.0, 96 - 9 * sum(one) - 60 * still - chance.random() * 3), 1)
            for position, (on, one, still) in bins
        ]
        if compared
        else [],
    )


def quality(sent: str | None = None, shown: str | None = None) -> PictureFigures:
    """Return what a comparison found, with the names of its two pictures."""
    return PictureFigures(
        compared=1400,
        identical=1180,
        not_decodable=12,
        vmaf=Quality(mean=88.2, p5=41.0, least=21.4),
        ssim=Quality(mean=0.981, p5=0.87, least=0.62),
        psnr_db=Quality(mean=71.3, p5=27.2, least=18.9),
        worst_s=31.52,
        worst_sent=sent,
        worst_shown=shown,
    )


def clients(duration_s: float = 60.0) -> list[ClientReport]:
    """Return one of each kind: clean, paused, lossy with freezes, behind a firewall, another player, leaked to."""
    chance = random.Random(7)
    end = duration_s
    lossy = streamed(
        3,
        [(0.4, end)],
        lambda time: Losses(link=sum(chance.random() < 0.03 for _ in range(PER_BIN)), queue=(24 < time < 33) * 3),
        duration_s=end,
        freezes=((12.3, 0.6), (30.9, 1.2)),
        pictures=quality("pictures/client-3-sent.png", "pictures/client-3-shown.png"),
    )
    leaked = streamed(6, [(0.4, 20.0), (40.0, end)], duration_s=end)
    timeline = msgspec.structs.replace(
        leaked.timeline, leaked=[12 if 20 <= n * BIN_S < 22 else 0 for n in range(len(leaked.timeline.sent))]
    )
    return [
        streamed(1, [(0.4, end)], duration_s=end, pictures=quality()),
        streamed(2, [(0.4, 15.0), (25.0, 40.0), (44.0, end)], duration_s=end),
        lossy,
        streamed(
            4,
            [(0.4, end)],
            lambda _: Losses(beyond=PER_BIN),
            duration_s=end,
            freezes=((0.4, duration_s - 0.4),),
            frames_displayed=0,
            join_ms=None,
            commands=[
                CommandReport(time_s=0.3, command="connect", answer="ok", answer_ms=1.1),
                CommandReport(time_s=9.0, command="continue", answer="not_allowed_now", answer_ms=0.4),
            ],
        ),
        a_client(5, program="mpv:tcp", player="mpv", frames_displayed=None, join_ms=None),
        msgspec.structs.replace(
            leaked,
            verdict=Verdict.FAIL,
            datagrams_leaked=240,
            leak_reasons={"while_interrupted": 240},
            timeline=timeline,
        ),
    ]


CHECKS = [
    Check(name="capture", verdict=Verdict.PASS, subject="server", detail="81 234 packets, none dropped"),
    Check(name="promise", verdict=Verdict.PASS, subject="client-1", detail="none of 17 880 datagrams left outside"),
    Check(
        name="promise",
        verdict=Verdict.FAIL,
        subject="client-6",
        detail="240 datagrams left outside its windows: 240 while_interrupted; the first at 20.003 s to port 40012",
    ),
]


def a_report(found: list[ClientReport] | None = None, **changes: Any) -> Report:
    """Return a report on these clients, or on one of each kind."""
    found = clients() if found is None else found
    checks = [check for check in CHECKS if check.subject in {"server", *(client.name for client in found)}]
    report = Report(
        verdict=worst(check.verdict for check in checks),
        run="20261122-143000-7f3a",
        started="2026-11-22T14:30:00.000+00:00",
        duration_s=60.0,
        engine={"name": "lab", "version": "20.10.24+dfsg1", "endpoint": "unix:///var/run/docker.sock"},
        scenario={"name": "tour", "description": "each client has a part of its own", "video": "test-card-720p25.mp4"},
        clients=found,
        balance=sum((client.balance for client in found), Balance()),
        checks=checks,
        timings={"prepare": 0.12, "start": 2.78, "scenario": 60.0},
        taps=[
            TapReport(
                name=name,
                interface="eth0",
                path=f"captures/{name}.pcap",
                packets=81234,
                dropped_by_kernel=0,
                batches=12,
                duration_s=60.2,
                problem=None,
            )
            for name in ("server", *(client.name for client in found))
        ],
        network=Network(
            profile="lossy-3",
            description="three datagrams in a hundred are lost",
            figures=[
                LinkFigure(
                    client=client.name,
                    direction="down",
                    figure="delay ms: 5th / 50th / 95th percentile",
                    configured="20",
                    measured="20.1 / 21.5 / 23.1",
                )
                for client in found
            ],
        ),
    )
    return msgspec.structs.replace(report, **changes)


def long_report(count: int = 50, duration_s: float = 3600.0) -> Report:
    """Return a report on *count* clients that lost something all the time, for *duration_s*."""
    chance = random.Random(3)
    draws = [Losses(link=chance.randrange(4), queue=chance.randrange(3)) for _ in range(997)]
    one = streamed(
        1,
        [(0.4, duration_s)],
        lambda time: draws[int(time * 10) % len(draws)],
        duration_s=duration_s,
        freezes=tuple((60.0 * n + 3, 0.8) for n in range(1, int(duration_s / 60))),
        pictures=quality(),
    )
    made = [
        msgspec.structs.replace(one, name=f"client-{n}", address=f"198.18.{n // 200}.{n % 200 + 10}")
        for n in range(1, count + 1)
    ]
    return a_report(made, duration_s=duration_s)
