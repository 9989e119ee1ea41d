"""A capture or a TS file of any size is read in the same memory."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from support.captures.pcap import START_S
from support.captures.rtp_streams import STEP_S, clean, frame
from support.media.constant_rate import Multiplex
from support.paths import SERVICES

DATAGRAMS = 2000
PEAK = """
import resource, sys
from flume.inspect import cli
try:
    cli.inspect([sys.argv[1], "--json"], standalone_mode=False)
except SystemExit as end:
    print(end.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_capture(path: Path, rounds: int) -> None:
    """Write the stream again and again; the numbers of RTP and the time go on."""
    frames = [frame(each.data) for each in clean(DATAGRAMS)]
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for number in range(DATAGRAMS * rounds):
            raw, micro = frames[number % DATAGRAMS], round((START_S + number * STEP_S) * 1e6)
            raw = raw[:44] + struct.pack("!H", number % (1 << 16)) + raw[46:]
            file.write(struct.pack("<IIII", micro // 10**6, micro % 10**6, len(raw), len(raw)) + raw)


def write_ts(path: Path, rounds: int) -> None:
    packets = b"".join(Multiplex().packets(DATAGRAMS * 7))
    with path.open("wb") as file:
        for _ in range(rounds):
            file.write(packets)


def peak_kib(path: Path) -> int:
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    command = [sys.executable, "-c", PEAK, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    status, peak = done.stderr.split()
    assert status == "0"
    return int(peak)


@pytest.mark.parametrize("write", [write_capture, write_ts])
def test_a_file_eight_times_as_long_takes_no_more_memory(tmp_path: Path, write) -> None:
    peaks = []
    for rounds in (1, 8):
        write(tmp_path / "input", rounds)
        peaks.append(peak_kib(tmp_path / "input"))
    longer_by = (tmp_path / "input").stat().st_size * 7 / 8 / 1024
    assert peaks[1] - peaks[0] < longer_by / 8
