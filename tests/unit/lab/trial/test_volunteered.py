"""Grants without a request open no window, and bytes that are neither line nor frame count as media."""

from pathlib import Path

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import TapFacts
from flume.lab.trial.flows import classify
from flume.lab.trial.sessions import reconstruct
from support.captures.pcap import CLIENT, PORT, SERVER, Pcap, line, rtp

TOKEN = b"0123456789abcdef0123456789abcdef"
ACTIVE = {"event": "active", "state": "active", "first_sequence": 1}
CONTINUED = {"reply": "continue", "state": "active", "first_sequence": 2}


def frame(sequence: int) -> bytes:
    return len(rtp(sequence)).to_bytes(2, "big") + rtp(sequence)


def ended(command: str, datagrams: int = 1) -> dict[str, object]:
    state = "interrupted" if command == "interrupt" else "closed"
    return {"reply": command, "state": state, "last_sequence": 1, "datagrams": datagrams}


def read(pcap: Pcap) -> TapFacts:
    facts = read_tap(pcap.path, name="server", log_text=pcap.log(), port=PORT)
    assert facts.tap.problem is None
    return facts


def leaks(pcap: Pcap) -> int:
    facts = read(pcap)
    return len(classify(CLIENT, facts.media, reconstruct(facts)).leaked)


@pytest.fixture
def over_tcp(tmp_path: Path) -> Pcap:
    pcap = Pcap(tmp_path / "tap.pcap").handshake()
    pcap.segment(CLIENT, SERVER, line({"command": "connect", "transport": "tcp"}), flags="PA")
    pcap.reply({"reply": "connect", "state": "connecting", "token": "", "transport": "tcp"})
    return pcap.reply(ACTIVE).segment(SERVER, CLIENT, frame(1), flags="PA")


@pytest.fixture
def over_udp(tmp_path: Path) -> Pcap:
    pcap = Pcap(tmp_path / "tap.pcap").handshake().request("connect")
    pcap.reply({"reply": "connect", "state": "connecting", "token": TOKEN.decode()})
    return pcap.token(TOKEN).reply(ACTIVE).media(rtp(1))


@pytest.mark.parametrize("command", ["interrupt", "disconnect"])
@pytest.mark.parametrize("said", [ACTIVE, CONTINUED], ids=["active", "continue"])
def test_frames_behind_a_line_without_a_request_are_leaks(over_tcp: Pcap, command: str, said: dict[str, object]):
    over_tcp.request(command).reply(ended(command)).reply(said).segment(SERVER, CLIENT, frame(2), flags="PA")
    assert leaks(over_tcp) == 1


@pytest.mark.parametrize("command", ["interrupt", "disconnect"])
def test_datagrams_behind_a_reply_without_a_request_are_leaks(over_udp: Pcap, command: str):
    over_udp.request(command).reply(ended(command)).reply(CONTINUED).media(rtp(2))
    assert leaks(over_udp) == 1


def test_a_second_session_is_asked_for(over_tcp: Pcap):
    over_tcp.request("disconnect").reply(ended("disconnect"))
    over_tcp.segment(CLIENT, SERVER, line({"command": "connect", "transport": "tcp"}), flags="PA")
    over_tcp.reply({"reply": "connect", "state": "connecting", "token": "", "transport": "tcp"}).reply(ACTIVE)
    over_tcp.segment(SERVER, CLIENT, frame(1), flags="PA").request("interrupt").reply(ended("interrupt"))
    over_tcp.request("continue").reply(CONTINUED).segment(SERVER, CLIENT, frame(2), flags="PA")
    assert leaks(over_tcp) == 0


@pytest.mark.parametrize(
    "junk",
    [
        (2 * 1328).to_bytes(2, "big") + rtp(2) + rtp(3),
        rtp(2),
        b"".join(rtp(number) for number in range(2, 16)),
        b"$\0" + frame(2) + b"\n",
    ],
    ids=["two packets in a frame", "RTP without a frame", "much of it", "as in RTSP"],
)
def test_what_is_neither_a_line_nor_a_frame_is_media(over_tcp: Pcap, junk: bytes):
    over_tcp.request("interrupt").reply(ended("interrupt")).segment(SERVER, CLIENT, junk, flags="PA")
    assert leaks(over_tcp) >= 1
