"""What one scrape returns: the figures of the server in, families of metrics out. Pure.

Names follow Prometheus' rules: base units, ``_total`` for counters. Labels are the number of a session or the name of a
reason, never an address: metrics are kept for long, and by other people. ``docs/metrics.md`` explains each.

>>> from flume.control.messages import ServerStatus
>>> status = ServerStatus(uptime_s=2, source="", ingest="running", sessions=0, active=0, datagrams=7, segmentation=True)
>>> [int(family.samples[0].value) for family in families(status, ()) if family.name == "flume_datagrams"]
[7]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from flume.control.messages import ServerStatus, UpstreamState, UpstreamStatus
from flume.server.sessions.table import SessionFigures

INGEST_STATES = ("starting", "running", "stalled", "paused", "stopped", "ended")


def families(status: ServerStatus, sessions: Sequence[SessionFigures]) -> Iterator[Metric]:
    """Yield everything that a scrape returns, beside what is said of the process."""
    yield from _of_server(status)
    yield from _of_sessions(sessions)
    yield from _of_claims([one for one in sessions if one.claim is not None])


def _of_server(status: ServerStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("flume_uptime_seconds", "Time since the server began.", value=status.uptime_s)
    yield GaugeMetricFamily("flume_sessions", "Sessions that are not closed.", value=status.sessions)
    active = GaugeMetricFamily("flume_active_sessions", "Sessions that are sent the stream.", labels=["transport"])
    active.add_metric(["udp"], status.active - status.active_over_tcp)
    active.add_metric(["tcp"], status.active_over_tcp)
    yield active
    state = GaugeMetricFamily("flume_ingest_state", "1 for the state of the source, 0 for others.", labels=["state"])
    for name in INGEST_STATES:
        state.add_metric([name], float(name == status.ingest))
    yield state
    yield CounterMetricFamily("flume_datagrams", "Datagrams that were sent, to all clients.", value=status.datagrams)
    if status.upstream is not None:
        yield from _of_upstream(status.upstream)
    yield _counts("flume_drops", "Datagrams that clients were not sent, or that came and were not used.", status.drops)
    yield _counts("flume_refused", "What was refused, or made to wait, because of a limit.", status.refused)
    yield _counts("flume_fallbacks", "Clients sent single datagrams instead of batches.", status.fallbacks)
    yield _counts("flume_source_events", "What the video's source did wrong.", status.source_counts, label="event")


def _of_upstream(upstream: UpstreamStatus) -> Iterator[Metric]:
    state = GaugeMetricFamily("flume_upstream_state", "1 for the state of a relay's upstream.", labels=["state"])
    for name in get_args(UpstreamState):
        state.add_metric([name], float(name == upstream.state))
    yield state
    received, lost = "Datagrams that came from the upstream.", "Datagrams of the upstream that did not come in time."
    yield CounterMetricFamily("flume_upstream_datagrams", received, value=upstream.datagrams)
    yield CounterMetricFamily("flume_upstream_lost_datagrams", lost, value=upstream.lost)
    again = "Sessions that were begun after one that was lost."
    yield CounterMetricFamily("flume_upstream_reconnects", again, value=upstream.reconnects)


def _counts(name: str, text: str, counts: Mapping[str, int], *, label: str = "reason") -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for reason, count in counts.items():
        family.add_metric([reason], count)
    return family


def _of_sessions(sessions: Sequence[SessionFigures]) -> Iterator[Metric]:
    yield _per_session(
        GaugeMetricFamily("flume_session_active", "1 while the session is sent the stream.", labels=["session"]),
        sessions,
        lambda one: float(one.is_active),
    )
    yield _per_session(
        CounterMetricFamily("flume_session_datagrams", "Datagrams sent to the session.", labels=["session"]),
        sessions,
        lambda one: one.counters.datagrams,
    )
    yield _per_session(
        CounterMetricFamily("flume_session_bytes", "Their bytes, above UDP or inside frames.", labels=["session"]),
        sessions,
        lambda one: one.counters.bytes,
    )
    drops = CounterMetricFamily("flume_session_drops", "Datagrams not sent to it.", labels=["session", "reason"])
    for one in sessions:
        for reason, count in one.counters.drops.items():
            drops.add_metric([str(one.number), reason], count)
    yield drops


def _of_claims(sessions: Sequence[SessionFigures]) -> Iterator[Metric]:
    """Yield what players report: a gauge each, because a player that received datagrams twice reports fewer losses."""
    yield _per_session(
        GaugeMetricFamily("flume_receiver_lost_datagrams", "Lost, as its player reports.", labels=["session"]),
        sessions,
        lambda one: 0 if one.claim is None else one.claim.lost,
    )
    yield _per_session(
        GaugeMetricFamily("flume_receiver_lost_ratio", "Of its last report, 0 to 1.", labels=["session"]),
        sessions,
        lambda one: 0 if one.claim is None else one.claim.fraction_lost,
    )
    yield _per_session(
        GaugeMetricFamily("flume_receiver_jitter_seconds", "Jitter, as its player reports.", labels=["session"]),
        sessions,
        lambda one: 0 if one.claim is None else one.claim.jitter_ms / 1000,
    )


def _per_session(
    family: GaugeMetricFamily | CounterMetricFamily,
    sessions: Sequence[SessionFigures],
    value: Callable[[SessionFigures], float],
) -> Metric:
    for one in sessions:
        family.add_metric([str(one.number)], value(one))
    return family
