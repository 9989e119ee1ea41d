"""Debian's VLC on a link that loses, while RTP's numbers go once round and each datagram numbered 65535 is lost.

Once without and once with what the server sends to keep such a player alive (``server/fronts/number_wrap.py``). Needs
root, Debian's ``vlc`` and ``nftables``.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flume.lab import testcard
from matrix.loopback import end, start_driver, tell
from support.namespaces import SERVER_ADDRESS, WirePair

PROGRAMS = ("vlc", "nft", "runuser")
PORT = 5004
FIRST = 36_000
"""The first number: 20 s before 65535, so that frames before it can be counted."""

PACKETS = 2
"""Transport packets in a datagram: with seven, as by default, the numbers take three minutes to go round."""

TIMEOUT_S = 150.0

_SERVER = """
import secrets
from flume.cli import main
from flume.server.fronts.number_wrap import NumberWrapGuard
randbits = secrets.randbits
secrets.randbits = lambda bits: {first} if bits == 16 else randbits(bits)
if not {is_guarded}:
    NumberWrapGuard.add = lambda self, send: None
main()
"""

_LINK = """
table inet link {
  counter last { }
  chain in {
    type filter hook input priority 0;
    udp sport 5004 @th,72,8 33 @th,80,16 65535 counter name last drop
    meta l4proto { tcp, udp } numgen random mod 100 == 0 drop
  }
  chain out {
    type filter hook output priority 0;
    meta l4proto { tcp, udp } numgen random mod 100 == 0 drop
  }
}
"""
"""1 % of all datagrams and segments each way, as the profile lossy-1; and each original of the number 65535, which has
no marker."""


def is_here() -> bool:
    """Whether this machine has what it needs."""
    return all(map(shutil.which, PROGRAMS))


def _times_lost(pair: WirePair) -> int:
    """Return how many datagrams with the number 65535 have been lost."""
    command = pair.inside(pair.client, "nft", "-j", "list", "counter", "inet", "link", "last")
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=20).stdout)
    return sum(item["counter"]["packets"] for item in listed["nftables"] if "counter" in item)


def _frames(log: Path) -> int:
    """Return how many frames the player has displayed, by its latest statistics."""
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    counts = [event["player"]["frames_displayed"] for event in said if event["event"] == "statistics"]
    return counts[-1] or 0


def _frames_at_loss(pair: WirePair, log: Path, times: int) -> tuple[int, float]:
    """Wait until 65535 was lost so many *times*; return the frames displayed until then, and when it was."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while _times_lost(pair) < times:
        assert time.monotonic() < deadline_s, "the number 65535 does not come"
        time.sleep(0.1)
    return _frames(log), time.monotonic()


def _watch(folder: Path, film: Path, *, is_guarded: bool) -> Mapping[str, float]:
    log = folder / f"vlc-{'with' if is_guarded else 'without'}.log"
    program = _SERVER.format(first=FIRST, is_guarded=is_guarded)
    options = ("--json", "--host", SERVER_ADDRESS, "--datagram-packets", str(PACKETS))
    with WirePair(clients=1) as pair, tempfile.TemporaryDirectory() as home:
        subprocess.run(
            pair.inside(pair.client, "nft", "-f", "-"),
            input=_LINK.encode(),
            check=True,
            capture_output=True,
            timeout=20,
        )
        Path(home).chmod(0o777)
        command = pair.inside(pair.server, sys.executable, "-c", program, "serve", *options, str(film))
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert server.stdout is not None
        assert b'"listening"' in server.stdout.readline()
        driver = start_driver(pair.inside(pair.client), "vlc", f"rtsp://{SERVER_ADDRESS}:{PORT}/", home, log)
        try:
            tell([driver], "play")
            before, from_s = _frames_at_loss(pair, log, 1)
            until, until_s = _frames_at_loss(pair, log, 2)
        finally:
            end([driver])
            server.terminate()
            server.wait(20)
    return {"before": before, "after": until - before, "round_s": until_s - from_s}


def run(folder: Path) -> Mapping[str, Any]:
    """Return the frames displayed before the loss of 65535 and in the round after it, without and with the remedy."""
    folder.mkdir(parents=True, exist_ok=True)
    film = testcard.generate(folder / "card.mp4", duration_s=20)
    found = {"without": _watch(folder, film, is_guarded=False), "with": _watch(folder, film, is_guarded=True)}
    return {"first": FIRST, "packets": PACKETS, **found}
