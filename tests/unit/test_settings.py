"""Settings: every range, and the error that names the key."""

import math

import pytest

from flume.errors import SettingsError
from flume.settings import ServerSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "localhost"),
        ("port", 65536),
        ("tick_ms", math.nan),
        ("tick_ms", 0.5),
        ("batch_datagrams", 49),
        ("catch_up_factor", 1.0),
        ("token_interval_s", 0.0),
        ("consent_timeout_s", 3.9),
        ("max_sessions", 0),
        ("max_sessions_per_address", 0),
        ("max_sessions_per_network", 0),
        ("max_half_open", 100_001),
        ("commands_per_s", 0.5),
        ("commands_per_s_per_address", math.nan),
        ("commands_per_s_in_all", 0),
        ("max_line_bytes", 511),
        ("max_unsent_kib", 0),
        ("idle_control_s", 0),
        ("keepalive_s", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key, value):
    with pytest.raises(SettingsError, match=f"^{key}="):
        ServerSettings(**{key: value})


def test_few_sessions_need_no_second_limit():
    assert ServerSettings(max_sessions=10).max_sessions == 10
