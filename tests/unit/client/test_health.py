"""The health check of a client whose state file is damaged."""

from pathlib import Path

import pytest

from flume.client.health import check_client


@pytest.mark.parametrize("content", [b"", b'{"state":' + 5000 * b"[", b'{"state":"\xff"}', b'{"state":7}'])
def test_a_damaged_state_file_is_one_line_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    is_healthy, line = check_client(path, now_s=0.0)
    assert not is_healthy
    assert line.startswith(f"the state file {path} cannot be read: ")
    assert "\n" not in line
