"""What it costs to judge a run: ``python -m bench.judging`` writes the captures of one and judges them.

The server's capture has 100 MB, for five clients, unless ``--mb`` and ``--clients`` say otherwise; the captures at the
clients have as much again. CPU time of the one process counts, so that other load does not. ``--profile`` shows where
it goes.
"""

import argparse
import cProfile
import pstats
import random
import socket
import struct
import tempfile
import time
from pathlib import Path

from flume.capture.dissect import Endpoint
from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Claims, Evidence, Expectations, Subject
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, RunFacts
from support.captures.pcap import PORT, SERVER, START_S, VIDEO_PID, Pcap, pat, pmt, rtp, ts

_RATE_BYTES_S = 500_000
"""4 Mbit/s, as the lab's test card."""
_FRAME_S = 0.04
_MEDIA_PORT = 50_000
_DATAGRAMS_A_TOKEN = 300
_BLOCK = 1 << 20


def client_address(number: int) -> str:
    """The address of client *number*, from 1."""
    return f"198.18.0.{10 + number}"


class _Run:
    """The captures of one run, written as tcpdump writes them."""

    def __init__(self, folder: Path, clients: int) -> None:
        self.server = Pcap(folder / "server.pcap")
        self.clients = [Pcap(folder / f"client-{number}.pcap") for number in range(1, clients + 1)]
        self._random = random.Random(1)
        for number, tap in enumerate(self.clients, 1):
            address = client_address(number)
            for each in (self.server, tap):
                each.handshake(address).request("connect", address)
                each.reply({"reply": "connect", "state": "connecting", "token": f"{number:04x}"}, address)
                each.token(f"{number:04x}".encode(), address)
                each.reply({"event": "active", "state": "active", "first_sequence": 0}, address)

    def stream(self, datagrams: int) -> None:
        """Send *datagrams* to each client, each of seven transport packets."""
        start_s = max(tap.now_s for tap in (self.server, *self.clients))
        taps = [self.server, *self.clients]
        blocks = [bytearray() for _ in taps]
        for number in range(datagrams):
            payload, at_s = self._payload(number), start_s + number * 1316 / _RATE_BYTES_S
            for client in range(1, len(taps)):
                sent = [_record(at_s + client * 2e-5, (SERVER, PORT), (client_address(client), _MEDIA_PORT), payload)]
                if number % _DATAGRAMS_A_TOKEN == 0:
                    ends = (client_address(client), _MEDIA_PORT), (SERVER, PORT)
                    sent.append(_record(at_s + client * 2e-5 + 1e-5, *ends, f"{client:04x}".encode()))
                for at in (0, client):
                    blocks[at] += b"".join(sent)
                    taps[at].packets += len(sent)
            for tap, block in zip(taps, blocks, strict=True):
                if len(block) > _BLOCK or number == datagrams - 1:
                    with tap.path.open("ab") as file:
                        file.write(block)
                    block.clear()
        for tap in taps:
            tap.now_s = start_s + datagrams * 1316 / _RATE_BYTES_S + 0.1

    def _payload(self, number: int) -> bytes:
        frames_before, frames = (int(n * 1316 / _RATE_BYTES_S / _FRAME_S) for n in (number, number + 1))
        begins = frames > frames_before
        packets = [pat(), pmt(), ts(VIDEO_PID, b"\x00\x00\x01\xe0", unit_start=True)] if begins else []
        packets += [ts(VIDEO_PID, self._random.randbytes(184)) for _ in range(7 - len(packets))]
        return rtp(number % (1 << 16), *packets)

    def stop(self, datagrams: int) -> None:
        """Each client interrupts."""
        last = {"last_sequence": (datagrams - 1) % (1 << 16), "datagrams": datagrams}
        for number, tap in enumerate(self.clients, 1):
            for each in (self.server, tap):
                each.request("interrupt", client_address(number))
                each.reply({"reply": "interrupt", "state": "interrupted", **last}, client_address(number))


def _record(time_s: float, source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    ether = bytes.fromhex("020000000002 020000000001 0800")
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 7, 0, 64, 17, 0) + ends
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    frame = ether + ip + udp + payload
    micro = round(time_s * 1e6)
    return struct.pack("<IIII", micro // 10**6, micro % 10**6, len(frame), len(frame)) + frame


def write_run(folder: Path, *, megabytes: float, clients: int) -> tuple[_Run, int]:
    """Write the captures of a run whose server's has *megabytes*; return it, and the datagrams for each client."""
    run = _Run(folder, clients)
    datagrams = max(1, round(megabytes * 1e6 / (1386 * clients)))
    run.stream(datagrams)
    run.stop(datagrams)
    return run, datagrams


def judge_run(run: _Run, datagrams: int) -> tuple[Report, dict[str, float]]:
    """Return the report on *run*, and the CPU seconds of each step."""
    took_s: dict[str, float] = {}
    began_s = time.process_time()
    facts = []
    for name, tap in [("server", run.server), *((tap.path.stem, tap) for tap in run.clients)]:
        facts.append(read_tap(tap.path, name=name, log_text=tap.log(), port=PORT))
        if name == "server":
            took_s["reading the server's capture"] = time.process_time() - began_s
    took_s["reading all captures"] = time.process_time() - began_s
    subjects = [
        Subject(
            name=tap.path.stem,
            address=client_address(number),
            tap=tap.path.stem,
            claims=Claims(datagrams=datagrams),
            watches=False,
        )
        for number, tap in enumerate(run.clients, 1)
    ]
    before_s = time.process_time()
    evidence = Evidence(START_S, "server", tuple(facts), tuple(subjects), Expectations(frames_min_pct=None))
    report = judge(evidence, RunFacts(run="bench"))
    took_s["judging"] = time.process_time() - before_s
    took_s["all"] = time.process_time() - began_s
    return report, took_s


def main() -> None:
    """Write, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=100.0, help="size of the server's capture (default 100)")
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="show where the time goes; it then takes longer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="judging-") as folder:
        run, datagrams = write_run(Path(folder), megabytes=options.mb, clients=options.clients)
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        report, took_s = judge_run(run, datagrams)
        profile.disable()
        size = run.server.path.stat().st_size
    print(f"{size / 1e6:.0f} MB at the server, {run.server.packets} packets: {report.verdict}")
    for check in report.checks:
        if check.verdict != "PASS":
            print(f"  {check.name} {check.subject}: {check.verdict} {check.detail}")
    for step, seconds in took_s.items():
        print(f"{seconds:7.2f} s  {step}")
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
