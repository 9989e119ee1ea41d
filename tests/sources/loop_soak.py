"""A film of ten seconds in a loop for minutes: is every picture of every round there, and does the clock drift?

``python -m sources.loop_soak 600`` plays it that many seconds through a server to a client, and prints one line of JSON
with a :class:`Loops`. Too slow for the tests, whose catalogue has loops of a few rounds.
"""

import itertools
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from sources.catalogue.clips import film
from sources.playing import server_of
from support.clients.recorder import Recorder
from support.media.decoding import decode, decode_ts
from support.media.recipes import make

FILM_S, FPS = 10.0, 25
WAIT_S = 30.0
PACKET_BYTES = 188
NULL_PID = 0x1FFF


class Loops(NamedTuple):
    """What arrived. *drift_ms* is how far the last picture is from its place, counted from the first one."""

    rounds: float
    pictures: int
    wrong_pictures: int
    continuity_errors: int
    lost_datagrams: int
    drift_ms: float
    largest_step_error_ms: float


def run(seconds: float) -> Loops:
    """Play for *seconds* of stream and compare with the film, picture by picture."""
    folder = make("loop-soak", (film(seconds=FILM_S),))
    wanted = [picture.checksum for picture in decode(folder / "film.mp4").pictures]
    with server_of([str(folder / "film.mp4")]) as server, Recorder(server.port()) as recorder:
        recorder.connect()
        recorder.run(for_s=seconds + WAIT_S, until=lambda one: one.stream_s >= seconds)
    with tempfile.TemporaryDirectory(prefix="flume-loop-") as name:
        path = Path(name) / "received.ts"
        path.write_bytes(recorder.data)
        pictures = decode_ts(path).pictures[:-FPS]  # the recording ends in the middle of a group of pictures
    step_s = FILM_S / len(wanted)
    first = wanted.index(pictures[0].checksum)
    expected = (wanted[(first + at) % len(wanted)] for at in range(len(pictures)))
    steps = [after.time_s - before.time_s for before, after in itertools.pairwise(pictures)]
    return Loops(
        rounds=round(len(pictures) / len(wanted), 2),
        pictures=len(pictures),
        wrong_pictures=sum(one.checksum != other for one, other in zip(pictures, expected, strict=True)),
        continuity_errors=continuity_errors(recorder.data),
        lost_datagrams=sum((after - before) % 0x10000 != 1 for before, after in itertools.pairwise(recorder.sequences)),
        drift_ms=round(1000 * (pictures[-1].time_s - pictures[0].time_s - step_s * (len(pictures) - 1)), 2),
        largest_step_error_ms=round(1000 * max(abs(step - step_s) for step in steps), 2),
    )


def continuity_errors(stream: bytes) -> int:
    """Return how many packets with a payload do not go on from the one before them (ISO/IEC 13818-1, 2.4.3.3)."""
    last: dict[int, int] = {}
    errors = 0
    for at in range(0, len(stream), PACKET_BYTES):
        pid = int.from_bytes(stream[at + 1 : at + 3], "big") & 0x1FFF
        if pid != NULL_PID and stream[at + 3] & 0x10:
            counter = stream[at + 3] & 0x0F
            errors += pid in last and counter != (last[pid] + 1) % 16
            last[pid] = counter
    return errors


if __name__ == "__main__":
    print(msgspec.json.encode(run(float(sys.argv[1]))._asdict()).decode())
