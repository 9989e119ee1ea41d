"""What a scrape returns, by Prometheus' own parser; and that page and dashboard name what there is."""

import json
import re
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from flume.control.messages import ClientCounters, ReceiverClaim, ServerStatus, UpstreamState, UpstreamStatus
from flume.errors import SettingsError
from flume.server.cli import metrics_address
from flume.server.metrics.families import INGEST_STATES, families
from flume.server.sessions.table import SessionFigures
from support.paths import ROOT

STATUS = ServerStatus(
    uptime_s=12.5,
    source="film.mp4",
    ingest="running",
    sessions=3,
    active=2,
    active_over_tcp=1,
    datagrams=900,
    segmentation=True,
    drops={"overwritten": 4},
    refused={"address": 5},
    fallbacks={"segmentation_eio": 1},
    source_counts={"stalls": 6},
    upstream=UpstreamStatus(
        address="flume://192.0.2.7:5004", state="lost", state_s=2.0, datagrams=950, lost=7, reconnects=2
    ),
)
SESSIONS = (
    SessionFigures(3, True, ClientCounters(datagrams=600, bytes=7896, drops={"overwritten": 4}), None),
    SessionFigures(7, False, ClientCounters(datagrams=300), ReceiverClaim(lost=-2, fraction_lost=0.25, jitter_ms=3)),
)
DASHBOARD = ROOT / "examples" / "grafana" / "flume-server.json"


def scraped() -> dict[str, dict[tuple[str, ...], float]]:
    """Return name of a sample to its values by the values of its labels."""

    class One(Collector):
        def collect(self):
            return families(STATUS, SESSIONS)

    registry = CollectorRegistry()
    registry.register(One())
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_each_figure_of_the_server_and_its_sessions_is_there_in_base_units():
    found = scraped()
    assert found["flume_uptime_seconds"] == {(): 12.5}
    assert found["flume_active_sessions"] == {("udp",): 1, ("tcp",): 1}
    assert found["flume_ingest_state"] == {(state,): float(state == "running") for state in INGEST_STATES}
    assert found["flume_datagrams_total"] == {(): 900}
    assert found["flume_upstream_state"] == {(name,): float(name == "lost") for name in get_args(UpstreamState)}
    assert found["flume_upstream_datagrams_total"] == {(): 950}
    assert found["flume_upstream_lost_datagrams_total"] == {(): 7}
    assert found["flume_upstream_reconnects_total"] == {(): 2}
    assert found["flume_drops_total"] == {("overwritten",): 4}
    assert found["flume_refused_total"] == {("address",): 5}
    assert found["flume_source_events_total"] == {("stalls",): 6}
    assert found["flume_session_active"] == {("3",): 1, ("7",): 0}
    assert found["flume_session_bytes_total"] == {("3",): 7896, ("7",): 0}
    assert found["flume_session_drops_total"] == {("overwritten", "3"): 4}
    assert found["flume_receiver_lost_datagrams"] == {("7",): -2}
    assert found["flume_receiver_jitter_seconds"] == {("7",): 0.003}


def test_the_page_explains_each_metric_and_no_other():
    explained = set(re.findall(r"^\| `(flume_\w+)", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    assert explained == set(scraped())


def test_the_dashboard_asks_for_metrics_that_there_are():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"\b(?:flume|process)_\w+", target["expr"])
    }
    of_the_process = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    assert asked - of_the_process <= set(scraped())
    assert len(asked) > 10
    boxes = [panel["gridPos"] for panel in panels]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    assert len({(box["x"], box["y"]) for box in boxes}) == len(panels)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[fe80::1%25eth0]:9100", ("fe80::1%eth0", 9100)),
    ],
)
def test_metrics_are_answered_on_loopback_unless_an_address_is_named(text: str, address: tuple[str, int]):
    assert metrics_address(text) == address


@pytest.mark.parametrize("text", ["", "http", "localhost:", "9100:http", "70000", "-1", "٣"])
def test_another_address_is_refused_with_an_example(text: str):
    with pytest.raises(SettingsError, match=r"metrics=.*such as 9100"):
        metrics_address(text)
