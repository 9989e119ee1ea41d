"""How an upstream is written, and what is refused at once."""

import pytest

from flume.errors import SettingsError
from flume.server.relay.address import one_upstream, parse_upstream
from flume.server.relay.options import is_itself
from flume.settings import ServerSettings


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("flume://server", "server", 5004),
        ("flume://server/", "server", 5004),
        ("FLUME://server:6004", "server", 6004),
        ("flume://192.0.2.7:1", "192.0.2.7", 1),
        ("flume://[::1]", "::1", 5004),
        ("flume://[::1%lo]:5004", "::1%lo", 5004),
        ("flume://[fe80::1%25eth0]:65535", "fe80::1%eth0", 65535),
    ],
)
def test_an_upstream_is_a_host_and_a_port(written: str, host: str, port: int) -> None:
    assert one_upstream((written,)) == (host, port)


@pytest.mark.parametrize(
    "written",
    [
        "flume://",
        "flume://:5004",
        "flume://server:0",
        "flume://server:65536",
        "flume://server:x",
        "flume://ann@server",
        "flume://server/film",
        "flume://server?x=1",
        "flume://::1",
        "flume://[::1",
        "flume://a b",
    ],
)
def test_anything_else_is_refused_in_one_line_that_shows_the_form(written: str) -> None:
    with pytest.raises(SettingsError, match=r"flume://HOST:PORT") as error:
        parse_upstream(written)
    assert "\n" not in str(error.value)


def test_other_schemes_are_sources_of_videos() -> None:
    assert one_upstream(("flumes://server", "film.mp4")) is None


def test_an_upstream_beside_a_video_is_refused() -> None:
    with pytest.raises(SettingsError, match="alone"):
        one_upstream(("film.mp4", "flume://server"))


@pytest.mark.parametrize(
    ("address", "settings", "expected"),
    [
        ("flume://127.0.0.1", ServerSettings(), True),
        ("flume://localhost", ServerSettings(), True),
        ("flume://[::1]:6004", ServerSettings(host="::", port=6004), True),
        ("flume://127.0.0.1:6004", ServerSettings(), False),
        ("flume://127.0.0.1", ServerSettings(host="127.0.0.2"), False),
        ("flume://192.0.2.200", ServerSettings(), False),
        ("flume://server", ServerSettings(), False),
    ],
)
def test_the_relays_own_address_is_known(address: str, settings: ServerSettings, expected: bool) -> None:
    assert is_itself(parse_upstream(address), settings) is expected
