"""Capture files in, facts out: what is decoded, and what makes a capture worthless."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from flume.capture.reassembly import SegmentStream
from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Command, MediaDatagram, Reply, TapFacts
from flume.lab.evidence.frames import FrameCounter
from flume.lab.evidence.json_lines import LineSplitter
from flume.lab.trial.sessions import reconstruct
from support.captures.pcap import (
    CLIENT,
    ETHER,
    PORT,
    SERVER,
    START_S,
    VIDEO_PID,
    Pcap,
    in_fragments,
    line,
    pat,
    pmt,
    rtp,
    ts,
)
from support.captures.pcapng import PcapNg

FRAME = ts(VIDEO_PID, b"\x00\x00\x01\xe0", unit_start=True)


@pytest.fixture
def pcap(tmp_path: Path) -> Pcap:
    return Pcap(tmp_path / "tap.pcap")


def read(pcap: Pcap, log: str | None = None) -> TapFacts:
    return read_tap(pcap.path, name="server", log_text=pcap.log() if log is None else log, port=PORT)


def connected(pcap: Pcap) -> Pcap:
    pcap.handshake().request("connect").reply({"reply": "connect", "state": "connecting", "token": "00ff"})
    return pcap.token(b"00ff").reply({"event": "active", "state": "active", "first_sequence": 1})


def test_a_session_is_decoded(pcap: Pcap):
    connected(pcap).media(rtp(1, pat(), pmt(), FRAME)).media(rtp(2)).media(rtp(3, ts(VIDEO_PID), FRAME, FRAME))
    pcap.request("interrupt").reply({"reply": "interrupt", "state": "interrupted", "last_sequence": 3, "datagrams": 3})
    pcap.segment(CLIENT, SERVER, flags="FA")
    facts = read(pcap)
    assert facts.tap.problem is None
    assert (facts.tap.interface, facts.tap.packets, facts.tap.snaplen) == ("eth0", 13, 262144)
    assert facts.tap.first_s == START_S
    assert facts.tap.last_s == pytest.approx(START_S + 0.012)
    assert [(d.sequence, d.ssrc, d.bytes, d.video_frames_started) for d in facts.media] == [
        (1, 7, 1328, 1),
        (2, 7, 1328, 0),
        (3, 7, 1328, 2),
    ]
    assert facts.media[0].source == (SERVER, PORT)
    assert facts.media[0].destination == (CLIENT, 50000)
    assert len({datagram.identity for datagram in facts.media}) == 3
    assert [(consent.client, consent.payload) for consent in facts.consents] == [((CLIENT, 50000), b"00ff")]
    assert len(facts.starts) == 1
    assert [(end.client, end.by_server) for end in facts.ends] == [((CLIENT, 40000), False)]
    assert facts.sources == {SERVER, CLIENT}
    (window,) = reconstruct(facts).windows
    assert (window.opened_by, window.closed_by, window.datagrams) == ("connect", "interrupt", 3)


def test_the_same_datagram_has_the_same_identity_everywhere(pcap: Pcap):
    pcap.media(rtp(1)).media(rtp(1), client="198.18.0.12")
    one, two = read(pcap).media
    assert one.identity == two.identity


def test_plain_transport_packets_and_anything_from_the_servers_port_are_media(pcap: Pcap):
    pcap.media(ts(0x1FFF) * 7).media(b"?").udp(SERVER, CLIENT, rtp(9), sport=777)
    assert [(d.sequence, d.bytes, d.source[1]) for d in read(pcap).media] == [
        (None, 1316, 5004),
        (None, 1, 5004),
        (9, 1328, 777),
    ]


def test_a_segmentation_batch_is_counted_by_its_datagrams(pcap: Pcap):
    pcap.media(rtp(1) + rtp(2) + rtp(3)).media(ts(0x1FFF) * 14)
    facts = read(pcap)
    assert [datagram.sequence for datagram in facts.media] == [1, 2, 3, None, None]
    assert facts.batches == 2
    assert facts.tap.problem is None


def test_a_reply_in_two_segments_counts_from_the_second(pcap: Pcap):
    data = line({"reply": "interrupt", "state": "interrupted"})
    connected(pcap).segment(SERVER, CLIENT, data[:10])
    pcap.now_s = START_S + 5
    pcap.segment(SERVER, CLIENT, data[10:])
    last = read(pcap).messages[-1]
    assert isinstance(last, Reply)
    assert last == Reply(START_S + 5, (CLIENT, 40000), "interrupt", state="interrupted", offset=last.offset)


def test_a_retransmission_adds_nothing_and_moves_no_time(pcap: Pcap):
    data = line({"reply": "interrupt", "state": "interrupted"})
    connected(pcap)
    at_s = pcap.now_s
    pcap.segment(SERVER, CLIENT, data).segment(SERVER, CLIENT, data, offset=-len(data)).segment(CLIENT, SERVER)
    facts = read(pcap)
    interrupts = [seen for seen in facts.messages if isinstance(seen, Reply) and seen.command == "interrupt"]
    assert [seen.time_s for seen in interrupts] == [pytest.approx(at_s)]
    assert facts.tap.problem is None


def test_several_lines_in_one_segment(pcap: Pcap):
    connected(pcap).segment(
        CLIENT, SERVER, line({"command": "status"}) + b"nonsense\n[1]\n" + line({"command": "interrupt"})
    )
    last = read(pcap).messages[-4:]
    assert [message.name for message in last if isinstance(message, Command)] == ["status", "?", "?", "interrupt"]


def test_segments_out_of_order_wait(pcap: Pcap):
    data = line({"command": "status"})
    connected(pcap).segment(CLIENT, SERVER, data[5:], offset=5).segment(CLIENT, SERVER, data)
    last = read(pcap).messages[-1]
    assert isinstance(last, Command)
    assert last.name == "status"


def test_acknowledged_bytes_that_are_not_in_the_file_are_a_problem(pcap: Pcap):
    connected(pcap)
    pcap._numbers[SERVER, CLIENT] += 20
    pcap.segment(CLIENT, SERVER)
    assert read(pcap).tap.problem == "20 acknowledged bytes of control connections are not in the file"


def test_an_acknowledged_fin_is_no_missing_byte(pcap: Pcap):
    connected(pcap).segment(CLIENT, SERVER, flags="FA").segment(SERVER, CLIENT).segment(SERVER, CLIENT, flags="FA")
    pcap.segment(CLIENT, SERVER)
    assert read(pcap).tap.problem is None


def test_a_port_used_again_is_a_new_connection(pcap: Pcap):
    connected(pcap).segment(CLIENT, SERVER, flags="FA")
    pcap._numbers.clear()
    pcap._numbers[CLIENT, SERVER] = 1000
    connected(pcap)
    facts = read(pcap)
    assert len(facts.starts) == 2
    assert [window.closed_by for window in reconstruct(facts).windows] == ["connection", "nothing"]


def test_a_refused_datagram_is_a_fact(pcap: Pcap):
    refused = IP(src=SERVER, dst=CLIENT) / UDP(sport=PORT, dport=50000) / Raw(rtp(1))
    for code in (3, 1):  # port unreachable; host unreachable
        answer = ICMP(type=3, code=code) / bytes(refused)[:60]
        pcap.frame(Ether(**ETHER) / IP(src=CLIENT, dst=SERVER) / answer)
    facts = read(pcap)
    assert [(refusal.time_s, refusal.media) for refusal in facts.refusals] == [(START_S, (CLIENT, 50000))]
    assert facts.tap.problem is None


def test_other_traffic_is_left_alone(pcap: Pcap):
    vlan = Ether(**ETHER) / Dot1Q(vlan=5) / IP(src=SERVER, dst=CLIENT) / UDP(sport=PORT, dport=50000) / Raw(rtp(4))
    pcap.frame(Ether(**ETHER) / ARP()).udp("198.18.0.1", CLIENT, b"\0" * 30, sport=53, dport=3333).frame(vlan)
    facts = read(pcap)
    assert [datagram.sequence for datagram in facts.media] == [4]
    assert (facts.messages, facts.consents, facts.tap.problem) == ((), (), None)


@pytest.mark.parametrize("cut", [1, 17, 800])
def test_a_file_that_ends_within_a_packet_is_a_problem(pcap: Pcap, cut: int):
    connected(pcap).media(rtp(1))
    raw = pcap.path.read_bytes()
    pcap.path.write_bytes(raw[:-cut])
    facts = read(pcap)
    assert facts.tap.problem is not None
    assert "cut off within a packet" in facts.tap.problem
    assert f"tcpdump captured {pcap.packets} packets, the file holds {pcap.packets - 1}" in facts.tap.problem


def test_a_file_that_ends_within_a_packets_header_is_a_problem(pcap: Pcap):
    pcap.media(rtp(1))
    with pcap.path.open("ab") as file:
        file.write(b"\0" * 9)
    assert read(pcap).tap.problem == "the file is cut off within a packet"


def test_packets_cut_by_the_snapshot_length_are_a_problem(pcap: Pcap):
    pcap.frame(b"\0" * 96, wire_bytes=1370)
    assert read(pcap).tap.problem == "1 packets were cut by the snapshot length 262144"


def test_dropped_packets_are_a_problem(pcap: Pcap):
    facts = read(pcap.media(rtp(1)), pcap.log(captured=1, dropped=7))
    assert facts.tap.dropped_by_kernel == 7
    assert facts.tap.problem == "tcpdump dropped 7 packets: give it a larger buffer (-B)"


def test_a_tcpdump_that_did_not_report_its_end_is_a_problem(pcap: Pcap):
    facts = read(pcap.media(rtp(1)), "tcpdump: listening on eth0, link-type EN10MB\n")
    assert facts.tap.problem == "tcpdump did not report its end: the capture was not closed cleanly"


def test_a_capture_without_a_packet_is_a_problem(pcap: Pcap):
    assert read(pcap).tap.problem == "it holds no packet at all"


def test_a_clock_that_went_back_is_a_problem(pcap: Pcap):
    pcap.media(rtp(1)).media(rtp(2))
    pcap.now_s -= 0.5
    assert "its clock went back by" in str(read(pcap.media(rtp(3))).tap.problem)


def test_a_datagram_in_fragments_is_the_datagram(pcap: Pcap, tmp_path: Path):
    payload = rtp(1, pat(), pmt(), FRAME)
    whole = read(Pcap(tmp_path / "whole.pcap").media(payload)).media
    connected(pcap).media(rtp(0, pat(), pmt())).frames(*in_fragments(payload, most_bytes=520))
    facts = read(pcap)
    assert facts.tap.problem is None
    assert sum(not one.is_tcp for one in facts.others) == 3 + 1, "and the token"
    assert (facts.incomplete, facts.headless) == ((), ())
    datagram = facts.media[-1]
    last_s = facts.tap.last_s
    assert datagram == whole[0]._replace(time_s=last_s, is_fragmented=True, video_frames_started=1)


def test_fragments_of_several_clients_with_one_identification_do_not_mix(pcap: Pcap):
    clients = [f"198.18.0.{number}" for number in (11, 12, 13)]
    parts = [in_fragments(rtp(number), client=client) for number, client in enumerate(clients)]
    for row in zip(*parts, strict=True):
        pcap.frames(*row)
    facts = read(pcap)
    assert [(one.destination[0], one.sequence) for one in facts.media] == [(c, n) for n, c in enumerate(clients)]
    assert [one.identity for one in facts.media] == [one.identity for one in read_whole(pcap, clients)]


def read_whole(pcap: Pcap, clients: list[str]) -> tuple[MediaDatagram, ...]:
    whole = Pcap(pcap.path.with_name("whole.pcap"))
    for number, client in enumerate(clients):
        whole.media(rtp(number), client)
    return read(whole).media


def test_of_what_is_not_whole_the_beginning_is_known_or_only_the_addresses(pcap: Pcap):
    first, last = in_fragments(rtp(5))
    pcap.frame(first).frame(in_fragments(rtp(6), number=8)[1])
    facts = read(pcap)
    assert (facts.tap.problem, facts.media) == (None, ())
    (torn,) = facts.incomplete
    assert (torn.sequence, torn.destination, torn.bytes) == (5, (CLIENT, 50000), 1248)
    assert (torn.is_fragmented, torn.is_whole) == (True, False)
    assert [(one.source, one.destination) for one in facts.headless] == [(SERVER, CLIENT)]
    assert last.frag > 0


def test_an_echo_in_fragments_is_an_echo(pcap: Pcap):
    asked = b"00" * 16 + b"?" + bytes(1400)
    pcap.handshake().request("connect").reply({"reply": "connect", "state": "connecting", "token": "00" * 16})
    pcap.token(asked).frames(*in_fragments(asked))
    facts = read(pcap)
    assert (facts.media, facts.incomplete) == ((), ())
    assert sum(not one.is_tcp for one in facts.others) == 2 + 1, "and the request"


def test_a_control_segment_in_fragments_is_read(pcap: Pcap):
    connected(pcap)
    before = pcap.path.stat().st_size
    pcap.reply({"reply": "interrupt", "state": "interrupted"})
    raw = pcap.path.read_bytes()
    pcap.path.write_bytes(raw[:before])
    pcap.packets -= 1
    pcap.frames(*(Ether(**ETHER) / part for part in fragment(IP(raw[before + 16 + 14 :]), 24)))
    facts = read(pcap)
    assert facts.tap.problem is None
    last = facts.messages[-1]
    assert isinstance(last, Reply)
    assert last.command == "interrupt"


def test_fragments_of_ipv6_are_put_together_too(pcap: Pcap):
    data = bytes(UDP(sport=PORT, dport=50000) / Raw(rtp(4)))
    for offset, more in ((0, 1), (1256, 0)):
        part = IPv6ExtHdrFragment(offset=offset // 8, m=more, id=1 << 20, nh=17)
        pcap.frame(Ether(**ETHER) / IPv6(src="fd00::1", dst="fd00::2") / part / Raw(data[offset : offset + 1256]))
    facts = read(pcap)
    assert facts.tap.problem is None
    assert [(one.sequence, one.destination) for one in facts.media] == [(4, ("fd00::2", 50000))]


def test_a_packet_shorter_than_its_headers_is_a_problem(pcap: Pcap):
    pcap.frame(bytes(Ether(**ETHER, type=0x0800)) + b"\x45\x00")
    assert read(pcap).tap.problem == "1 packets could not be read"


def test_a_missing_file_and_one_that_is_no_capture_are_problems(tmp_path: Path):
    for path, content in (
        (tmp_path / "none.pcap", None),
        (tmp_path / "text.pcap", b"hello, this is a text, not a capture"),
    ):
        if content:
            path.write_bytes(content)
        facts = read_tap(path, name="x", log_text="", port=PORT)
        assert "is no capture file" in str(facts.tap.problem)
        assert facts.media == ()


def test_a_minute_of_five_clients_is_read_in_time(pcap: Pcap):
    """20,000 datagrams; 230,000 have to take less than 40 s, on a slow and busy host."""
    frame = bytes(
        Ether(**ETHER) / IP(src=SERVER, dst=CLIENT) / UDP(sport=PORT, dport=50000) / Raw(rtp(1, pat(), pmt()))
    )
    pcap.frame(frame)
    record = pcap.path.read_bytes()[24:]
    with pcap.path.open("ab") as file:
        for number in range(1, 20_000):
            sequence = number.to_bytes(2, "big")
            file.write(record[: 16 + 44] + sequence + record[16 + 46 :])
    pcap.packets = 20_000
    began_s = time.process_time()
    facts = read(pcap)
    took_s = time.process_time() - began_s
    assert (facts.tap.problem, len(facts.media)) == (None, 20_000)
    assert took_s < 40 * 20_000 / 230_000


@given(st.binary(min_size=188, max_size=1316))
def test_any_bytes_count_as_no_more_frames_than_packets(payload: bytes):
    counter = FrameCounter()
    counter.count_untrusted(pat() + pmt())
    for shaped in (payload, b"\x47" + payload[1:]):
        assert 0 <= counter.count_untrusted(shaped) <= len(payload) // 188


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=30), st.randoms())
def test_lines_survive_any_order_and_repetition_of_segments(pieces: list[tuple[int, int]], random):
    text = b"first\nsecond\nthe third is longer\n"
    whole = [(start, text[start : start + 4]) for start in range(0, len(text), 4)]
    segments = [*whole, *[(start, text[start : start + length]) for start, length in pieces]]
    random.shuffle(segments)
    stream, splitter = SegmentStream(), LineSplitter()
    begin = 0xFFFFFFF7  # the numbers wrap within the text
    stream.begin(begin - 1)
    parts = [stream.feed_untrusted((begin + start) % (1 << 32), cut) for start, cut in segments]
    lines = [line for part in parts for line in splitter.feed_untrusted(part)]
    assert b"".join(lines) == text
    stream.acknowledge((begin + len(text)) % (1 << 32))
    assert stream.missing_bytes == 0


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.binary(max_size=40)), max_size=40))
def test_any_segments_raise_nothing(segments: list[tuple[int, bytes]]):
    stream, splitter = SegmentStream(), LineSplitter()
    for sequence, data in segments:
        for out in splitter.feed_untrusted(stream.feed_untrusted(sequence, data)):
            assert out.endswith(b"\n")
    assert stream.missing_bytes == 0


def test_a_pcapng_file_is_no_capture_of_the_lab(tmp_path: Path):
    path = PcapNg(tmp_path / "tap.pcapng").interface().frame(b"\0" * 60).path
    problem = read_tap(path, name="x", log_text="", port=PORT).tap.problem
    assert "has link type pcapng: write it with tcpdump -w" in str(problem)
