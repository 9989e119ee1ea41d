"""What ``flume lab calibrate`` prints of the links that it has measured."""

import json
from typing import Any

from flume.lab.commands.netem import as_json, rounds, table
from flume.lab.link.links import LinkReport
from flume.lab.link.profile import Direction, Profile
from flume.lab.link.sampling import Interval, Measured, Percentiles

BURSTY = Direction(
    delay_ms=50, jitter_ms=5, distribution="normal", jitter_reorders=False, loss_pct=2, loss_burst_datagrams=2
)


def measured(**fields: Any) -> Measured:
    usual: dict[str, Any] = {
        "sent": 1000,
        "received": 980,
        "delay_ms": Percentiles(p5=42.0, p50=50.2, p95=58.9),
        "loss_pct": Interval(2.0, 1.1, 3.4),
        "burst_datagrams": Interval(2.1, 1.6, 2.8),
        "rate_kbit": None,
        "reordered_pct": 0.0,
        "duplicate_pct": 0.0,
        "corrupted_pct": 0.0,
    }
    return Measured(**(usual | fields))


def test_the_table_has_configured_beside_measured_and_each_deviation_below_its_row():
    report = LinkReport(3, "down", "far", BURSTY, measured(), ("loss_pct is 9 and should be 1 to 3",))
    head, row, deviation = table([report])
    assert head.split()[:3] == ["profile", "client", "direction"]
    assert row.split() == [
        *("far", "3", "down", "42.0/50.2/58.9", "50±5", "2.00", "(1.10–3.40)", "2", "2.10", "2", "–", "–"),
    ]
    assert deviation.strip() == "ERROR: loss_pct is 9 and should be 1 to 3"
    *_, twice = table([report._replace(deviations=(), first=report.deviations)])
    assert twice.strip() == "measured twice; first: loss_pct is 9 and should be 1 to 3"
    *_, unmeasured = table([report._replace(deviations=(), configured=Direction(rate_kbit=1e6, queue_ms=9))])
    assert unmeasured.strip() == "its rate is not measured: that is sound up to 200000 kbit/s"


def test_what_was_not_measured_is_a_dash():
    nothing = measured(received=0, delay_ms=None, burst_datagrams=None, loss_pct=Interval(100, 99, 100))
    _, row = table([LinkReport(1, "up", "far", Direction(), nothing, ())])
    assert row.split() == [*("far", "1", "up", "–", "0", "100.00", "(99.00–100.00)", "0", "–", "–", "–", "–")]


def test_json_has_the_direction_under_its_former_key_too():
    found = json.loads(as_json(LinkReport(3, "up", "far", BURSTY, measured(), ())))
    assert (found["client"], found["direction"], found["way"], found["profile"]) == (3, "up", "up", "far")
    assert found["configured"]["delay_ms"] == 50
    assert found["measured"]["loss_pct"] == {"value": 2.0, "low": 1.1, "high": 3.4}
    assert found["deviations"] == []


def test_more_profiles_than_clients_take_several_rounds():
    profiles = [Profile(name=name, description="", down=Direction(), up=Direction()) for name in "abc"]
    names = [{client: one.name for client, one in taken.items()} for taken in rounds((1, 2), profiles)]
    assert names == [{1: "a", 2: "b"}, {1: "c"}]
