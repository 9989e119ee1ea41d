"""Whether a client is healthy, from the file that it keeps."""

from pathlib import Path

import msgspec
import pytest

from flume.client.app import Client
from flume.client.health import FRESH_S, check_client
from flume.client.playback.player import NullPlayer
from flume.client.terminal.watching import write_state
from flume.settings import ClientSettings

NOW_S = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The state file of a client that was told nothing and has written at :data:`NOW_S`."""
    client = Client(ClientSettings(host="127.0.0.1"), NullPlayer())
    write_state(tmp_path / "state.json", msgspec.structs.replace(client.statistics(), time_s=NOW_S))
    client.close()
    return tmp_path / "state.json"


@pytest.mark.parametrize(
    ("age_s", "complaint"),
    [
        (0.5, None),
        (-0.5, None),
        (FRESH_S + 1, "the state file is 6.0 s old: the client has stopped writing it"),
        (3600, "the state file is 3600.0 s old"),
        (-FRESH_S - 1, "the state file is 6.0 s ahead of the clock, which was set back: has the client stopped?"),
        (-3600, "the state file is 3600.0 s ahead of the clock"),
    ],
)
def test_a_client_that_has_stopped_is_found_whatever_the_clock_does(
    path: Path, age_s: float, complaint: str | None
) -> None:
    is_healthy, line = check_client(path, now_s=NOW_S + age_s)
    assert is_healthy is (complaint is None), line
    assert complaint is None or line.startswith(complaint)


@pytest.mark.parametrize("content", [b"", b'{"state":' + 5000 * b"[", b'{"state":"\xff"}', b'{"state":7}'])
def test_a_damaged_state_file_is_one_line_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    is_healthy, line = check_client(path, now_s=0.0)
    assert not is_healthy
    assert line.startswith(f"the state file {path} cannot be read: ")
    assert "\n" not in line
