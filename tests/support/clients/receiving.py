"""A paced stream over a wire of our own into the real receiver, and what that costs.

    PYTHONPATH=services:tests .venv/bin/python -m support.clients.receiving --rate 50 --seconds 10 --player loopback

prints one JSON object. Needs root, iproute2 and ethtool.
"""

import argparse
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from flume.client.playback.loopback import LoopbackSender, Payload
from flume.client.playback.player import NullPlayer, Player
from flume.client.reception.receiver import Receiver, StreamSession, to_player
from flume.linux import UDP_SEGMENT
from flume.media import rtp
from flume.settings import ClientSettings
from support.clients.players import wait_until
from support.media.synthetic import FPS, TsWriter
from support.namespaces import SERVER_ADDRESS, WirePair
from support.paths import ROOT

PORT = 5004
SSRC = 0x1234_5678
FIRST_SEQUENCE = 65_000  # soon at its end
PAYLOAD_BYTES = 1316
DATAGRAM_BYTES = rtp.HEADER_BYTES + PAYLOAD_BYTES
TICK_S = 0.01
MAX_SEGMENTS = 49
TOKEN_TIMEOUT_S = 20.0


def _second_of_stream(rate_mbit: float) -> bytearray:
    """Return whole datagrams, with room for their headers."""
    writer = TsWriter(bitrate_kbit=round(rate_mbit * 1000))
    packets = b"".join(writer.frame() for _ in range(FPS))
    stream = bytearray()
    for start in range(0, len(packets) // PAYLOAD_BYTES * PAYLOAD_BYTES, PAYLOAD_BYTES):
        stream += bytes(rtp.HEADER_BYTES) + packets[start : start + PAYLOAD_BYTES]
    return stream


def send_paced(rate_mbit: float, seconds: float) -> int:
    """Wait for a token, then send where it came from, what is due in a tick as one batch; return how many."""
    stream = _second_of_stream(rate_mbit)
    held, rate = len(stream) // DATAGRAM_BYTES, rate_mbit * 1e6 / 8 / PAYLOAD_BYTES
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind((SERVER_ADDRESS, PORT))
        media.settimeout(TOKEN_TIMEOUT_S)
        print("ready", flush=True)
        media.connect(media.recvfrom(2048)[1])
        media.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, DATAGRAM_BYTES)
        began_s, sent = time.monotonic(), 0
        for tick in range(1, round(seconds / TICK_S) + 1):
            due = round(tick * TICK_S * rate)
            while sent < due:
                start = sent % held
                count = min(due - sent, held - start, MAX_SEGMENTS)
                for number in range(count):
                    rtp.pack_header_into(
                        stream,
                        (start + number) * DATAGRAM_BYTES,
                        sequence=FIRST_SEQUENCE + sent + number,
                        timestamp=round((sent + number) / rate * rtp.CLOCK_HZ),
                        ssrc=SSRC,
                    )
                media.send(memoryview(stream)[start * DATAGRAM_BYTES : (start + count) * DATAGRAM_BYTES])
                sent += count
            time.sleep(max(0.0, began_s + tick * TICK_S - time.monotonic()))
    return sent


@contextlib.contextmanager
def paced_sender(pair: WirePair, *, rate_mbit: float, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A process in the server's namespace that has said that it waits for the token; :func:`sent_by` awaits its end."""
    options = ("--send", "--rate", str(rate_mbit), "--seconds", str(seconds))
    program = (sys.executable, "-m", "support.clients.receiving", *options)
    environment = {"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    process = subprocess.Popen(
        pair.inside(pair.server, *program), stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()  # nothing happens to one that has ended


def sent_by(process: "subprocess.Popen[str]", *, timeout_s: float) -> int:
    """Return how many datagrams the sender has sent, when it has ended."""
    out, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == 0
    return int(out)


@contextlib.contextmanager
def receiving(pair: WirePair, settings: ClientSettings, player: Player) -> Iterator[Receiver]:
    """A real receiver with its socket in the client's namespace, whose first datagram has come."""
    receiver = Receiver(settings, to_player(settings, player))
    receiver.start()
    try:
        with pair.as_client():
            receiver.begin_session(StreamSession((SERVER_ADDRESS, PORT), socket.AF_INET, "ab" * 16, 0.5, "rtp", SSRC))
        receiver.begin_window(FIRST_SEQUENCE)
        wait_until("the stream has begun", lambda: receiver.first_datagram_s)
        yield receiver
    finally:
        receiver.close()


class LoopbackPlayer(NullPlayer):
    """Sends what it gets as the player on libvlc does, to a process that reads and drops it."""

    READER = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('127.0.0.1', 0)); s.settimeout(float(sys.argv[1]))\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 19)\n"  # as libvlc
        "print(s.getsockname()[1], flush=True)\n"
        "try:\n"
        "    while True: s.recv(65535)\n"
        "except TimeoutError: pass\n"
    )

    def __init__(self, *, in_batches: bool = True) -> None:
        self._reader = subprocess.Popen([sys.executable, "-c", self.READER, "10"], stdout=subprocess.PIPE, text=True)
        assert self._reader.stdout is not None
        self._sender = LoopbackSender(int(self._reader.stdout.readline()))
        self._sender.in_batches = in_batches

    def write(self, payloads: Sequence[Payload]) -> None:
        self._sender.send(payloads)

    def close(self) -> None:
        self._sender.close()
        with self._reader:
            self._reader.kill()


def measure(pair: WirePair, player: Player, settings: ClientSettings, *, rate_mbit: float, seconds: float) -> Any:
    """Return what arrived and what this process, which does nothing else, used of a core while the stream ran."""
    with (
        paced_sender(pair, rate_mbit=rate_mbit, seconds=seconds) as sender,
        receiving(pair, settings, player) as receiver,
    ):
        before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        sent = sent_by(sender, timeout_s=seconds + 20)
        after, took_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began_s
        wait_until("all of it was read", lambda: receiver.is_drained)
        seen = receiver.statistics()
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {name: getattr(seen, name) for name in ("datagrams", "lost", "dropped_by_receiver", "jitter_ms")}
    return {"sent": sent, **figures, "core_pct": round(busy_s / took_s * 100, 1)}


def main() -> None:
    """Measure, or be the sender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50, help="Mbit/s of transport packets")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--buffer", type=int, default=ClientSettings(host="-").receive_buffer_bytes, help="bytes")
    parser.add_argument("--player", choices=("none", "loopback", "singly"), default="none", help="singly: unbatched")
    parser.add_argument("--whole", action="store_true", help="let the wire carry a batch in one piece")
    parser.add_argument("--send", action="store_true", help="be the sender")
    options = parser.parse_args()
    if options.send:
        print(send_paced(options.rate, options.seconds))
        return
    settings = ClientSettings(host=SERVER_ADDRESS, receive_buffer_bytes=options.buffer)
    player = NullPlayer() if options.player == "none" else LoopbackPlayer(in_batches=options.player == "loopback")
    with contextlib.closing(player), WirePair(clients=1, segmentation=options.whole) as pair:
        figures = measure(pair, player, settings, rate_mbit=options.rate, seconds=options.seconds)
    print(json.dumps({"machine_load": os.getloadavg()[0], **figures}))


if __name__ == "__main__":
    main()
