"""FFmpeg plays the real server over RTSP: other programs are not everywhere, and are played in the lab."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from flume.server.access.hashing import make_hash
from support.servers.serving import port_of, serving


def decoded(port: int, *options: str, frames: int) -> int:
    """Let FFmpeg with *options* decode *frames* frames; return how many it has."""
    command = (
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *options),
        *("-i", f"rtsp://127.0.0.1:{port}/", "-map", "0:v", "-frames:v", str(frames), "-f", "null", "-"),
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return int(re.findall(r"frame=\s*(\d+)", done.stderr)[-1])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ffmpeg_decodes_the_stream(card: Path, transport: str):
    with serving("--json", "--port", "0", str(card)) as process:
        assert decoded(port_of(process), "-rtsp_transport", transport, frames=60) == 60


def test_ffmpeg_takes_the_connection_where_udp_is_refused(card: Path):
    with serving("--json", "--no-rtsp-udp", "--port", "0", str(card)) as process:
        assert decoded(port_of(process), frames=20) == 20


def test_ffmpeg_is_let_in_with_a_login_alone(card: Path, tmp_path: Path):
    users = tmp_path / "users"
    users.touch(mode=0o600)
    users.write_text(f"ann:{make_hash('right')}\n")
    with serving("--json", "--port", "0", "--users", str(users), "--login-without-tls", str(card)) as process:
        port = port_of(process)
        for user, outcome in (("", 1), ("ann:wrong@", 1), ("ann:right@", 0)):
            command = (
                *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-rtsp_transport", "tcp"),
                *("-i", f"rtsp://{user}127.0.0.1:{port}/", "-map", "0:v", "-frames:v", "5", "-f", "null", "-"),
            )
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert min(done.returncode, 1) == outcome, done.stderr
            assert ("401 Unauthorized" in done.stderr) == bool(outcome)
