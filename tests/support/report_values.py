"""Reports as values, for tests of what reads reports: comparison, studies, pages."""

from typing import Any

from flume.lab.trial.measures import (
    Freeze,
    Measures,
    PictureFigures,
    PlaybackFigures,
    Quality,
    Spread,
    WireFigures,
)
from flume.lab.trial.verdict import Balance, Check, ClientReport, LinkFigure, Network, Report, Timeline, Verdict
from flume.measures.ts.values import StreamFigures


def spread(median: float) -> Spread:
    return Spread(count=100, least=median / 2, median=median, p95=2 * median, p99=3 * median, most=4 * median)


def quality(mean: float) -> Quality:
    return Quality(mean=mean, p5=mean - 10, least=mean - 20)


def wire(**fields: Any) -> WireFigures:
    usual: dict[str, Any] = {
        "expected": 1000,
        "received": 1000,
        "lost": 0,
        "duplicates": 0,
        "reordered": 0,
        "loss_runs": {},
    }
    return WireFigures(**{**usual, "longest_run": 0, "delay_ms": spread(20), "jitter_ms": 1.0, **fields})


def playback(*freezes_s: float, **fields: Any) -> PlaybackFigures:
    freezes = [Freeze(start_s=float(at), duration_s=one) for at, one in enumerate(freezes_s)]
    usual: dict[str, Any] = {
        "join_ms": 500.0,
        "resume_ms": [],
        "frames_due": 200,
        "frames_shown": 200,
        "freezes": freezes,
    }
    return PlaybackFigures(**{**usual, "frozen_pct": 10 * sum(freezes_s), **fields})


def measures(vmaf: float = 95.0, **parts: Any) -> Measures:
    pictures = PictureFigures(compared=190, identical=100, not_decodable=10, vmaf=quality(vmaf), ssim=quality(0.98))
    stream = StreamFigures(packets=7000, counts={"1.1": 0, "1.4": 2}, findings=[])
    usual: dict[str, Any] = {"wire": wire(), "playback": playback(), "pictures": pictures, "stream": stream}
    return Measures(**(usual | parts))


def client(number: int = 1, **fields: Any) -> ClientReport:
    usual: dict[str, Any] = {
        "name": f"client-{number}",
        "address": f"198.18.0.{10 + number}",
        "verdict": Verdict.PASS,
        "commands": [],
        "active_windows": [(0.1, 10.0)],
        "datagrams_active": 1000,
        "datagrams_leaked": 0,
        "leak_reasons": {},
        "datagrams_lost": 0,
        "loss_pct": 0.0,
        "join_ms": 510.0,
        "first_datagram_ms": 30.0,
        "frames_due": 200,
        "frames_cut": 2,
        "frames_displayed": 200,
        "player": "headless",
        "balance": Balance(sent=1000, received=1000),
        "timeline": Timeline(bin_s=0.1, sent=[45] * 100, leaked=[0] * 100),
        "measures": measures(),
    }
    return ClientReport(**(usual | fields))


def network(profile: str = "lossy-1", *, problem: str | None = None) -> Network:
    figures = [
        LinkFigure(client="client-1", direction=direction, figure="loss %", configured="1", measured="0.9 (0.5 to 1.4)")
        for direction in ("down", "up")
    ]
    if problem is not None:
        figures.append(
            LinkFigure(
                client="client-2", direction="down", figure="loss %", configured="1", measured="5", problem=problem
            )
        )
    return Network(profile=profile, description="1 % random loss", figures=figures)


def report(*clients: ClientReport, **fields: Any) -> Report:
    usual: dict[str, Any] = {
        "verdict": Verdict.PASS,
        "run": "20261122-120000-aaaa",
        "started": "2026-11-22T12:00:00.000+00:00",
        "duration_s": 10.0,
        "engine": {"name": "Docker", "version": "20.10", "kernel": "6.1"},
        "scenario": {"name": "steady", "description": "", "duration_s": 10.0, "clients": len(clients) or 1},
        "clients": list(clients) or [client()],
        "balance": Balance(),
        "checks": [Check(name="promise", verdict=Verdict.PASS, subject="client-1", detail="0 of 1000")],
        "timings": {"start": 1.0},
        "taps": [],
        "network": network(),
    }
    return Report(**(usual | fields))
