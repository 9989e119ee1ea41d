"""One capture at a relay, which is a client of one server and a server itself: which packet belongs to which side."""

from pathlib import Path

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import RELAY, Evidence, Expectations, Subject, TapFacts
from flume.lab.evidence.sides import as_server
from flume.lab.trial.judge import judge_tree
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import RunFacts, Verdict
from support.captures.pcap import CLIENT, ETHER, PORT, SERVER, VIDEO_PID, Pcap, in_fragments, line, pat, pmt, rtp, ts

HOST = "198.18.0.3"
"""Of the relay."""
TOKENS = {HOST: b"0" * 32, CLIENT: b"1" * 32}
FRAME = ts(VIDEO_PID, b"\x00\x00\x01\xe0", unit_start=True)


def datagram(number: int, content: int) -> bytes:
    packets = (pat(), pmt(), FRAME) if content % 2 else ()
    return rtp(number, *packets, ts(VIDEO_PID, content.to_bytes(4, "big")))


def connect(pcap: Pcap, client: str, first: int) -> None:
    pcap.handshake(client).request("connect", client)
    pcap.reply({"reply": "connect", "state": "connecting", "token": TOKENS[client].decode()}, client)
    pcap.token(TOKENS[client], client).reply({"event": "active", "state": "active", "first_sequence": first}, client)


def interrupt(pcap: Pcap, client: str, last: int, count: int) -> None:
    pcap.request("interrupt", client)
    pcap.reply({"reply": "interrupt", "state": "interrupted", "last_sequence": last, "datagrams": count}, client)


class Chain:
    """A server, a relay and a client, each with a capture. Both servers have port 5004, both clients the same ports."""

    def __init__(self, folder: Path) -> None:
        self.server, self.relay, self.client = (Pcap(folder / f"{name}.pcap") for name in ("server", "relay", "client"))

    def above(self) -> tuple[Pcap, Pcap]:
        """The captures at both ends of the upper link."""
        self.relay.server = SERVER
        return self.server, self.relay

    def below(self) -> tuple[Pcap, Pcap]:
        self.relay.server = self.client.server = HOST
        return self.relay, self.client

    def play(self, count: int = 20) -> "Chain":
        for pcap in self.above():
            connect(pcap, HOST, 100)
        self.client.now_s = self.relay.now_s
        for pcap in self.below():
            connect(pcap, CLIENT, 7)
        for content in range(count):
            # Each step is 20 ms, in which the datagram passes all three interfaces.
            now_s = round(self.relay.now_s + 0.02, 6)
            for pcap, later_s in ((self.server, 0.0), (self.relay, 0.0002), (self.client, 0.003)):
                pcap.now_s = now_s + later_s
            for pcap in self.above():
                pcap.udp(SERVER, HOST, datagram(100 + content, content))
            for pcap in self.below():
                pcap.udp(HOST, CLIENT, datagram(7 + content, content))
        self.client.now_s = self.relay.now_s
        for pcap in self.below():
            interrupt(pcap, CLIENT, 6 + count, count)
        self.server.now_s = self.relay.now_s
        for pcap in self.above():
            interrupt(pcap, HOST, 99 + count, count)
        return self

    def facts(self) -> tuple[TapFacts, TapFacts, TapFacts]:
        server, relay, client = (
            read_tap(pcap.path, name=name, log_text=pcap.log(), port=PORT)
            for name, pcap in (("server", self.server), ("relay-h2", self.relay), ("client-1", self.client))
        )
        return server, relay, client

    def hops(self) -> dict[str, Evidence]:
        server, relay, client = self.facts()
        limits = Expectations(frames_min_pct=None)
        relays = (Subject(name="relay-h2", address=HOST, tap="relay-h2", program=RELAY, watches=False),)
        clients = (Subject(name="client-1", address=CLIENT, tap="client-1", watches=False),)
        return {
            "server": Evidence(server.tap.first_s, "server", (server, relay), relays, limits),
            "relay-h2": Evidence(server.tap.first_s, "relay-h2", (relay, client), clients, limits),
        }


def test_both_sides_of_a_relay_are_told_apart(tmp_path: Path):
    _, relay, _ = Chain(tmp_path).play().facts()
    assert relay.tap.problem is None
    assert len(relay.media) == 40
    side = as_server(relay, HOST)
    assert {(one.source, one.destination) for one in side.media} == {((HOST, PORT), (CLIENT, 50000))}
    assert {one.client for one in (*side.starts, *side.messages)} == {(CLIENT, 40000)}
    assert {one.client for one in side.consents} == {(CLIENT, 50000)}
    (window,) = reconstruct(side).windows
    assert (window.media, window.first_sequence, window.datagrams) == ((CLIENT, 50000), 7, 20)
    # The other side is whole, too: of the relay as a client.
    (above,) = (one for one in reconstruct(relay).windows if one.control[0] == HOST)
    assert (above.first_sequence, above.last_sequence) == (100, 119)


def test_what_is_passed_on_has_its_content_and_another_number(tmp_path: Path):
    _, relay, _ = Chain(tmp_path).play().facts()
    came = [one for one in relay.media if one.destination[0] == HOST]
    left = as_server(relay, HOST).media
    assert [one.content for one in came] == [one.content for one in left]
    assert not {one.identity for one in came} & {one.identity for one in left}
    assert len({one.content for one in left}) == 20
    assert [one.video_frames_started for one in came] == [one.video_frames_started for one in left]


def test_plain_transport_packets_have_their_identity_as_content(tmp_path: Path):
    pcap = Pcap(tmp_path / "tap.pcap").media(ts(VIDEO_PID) * 7).media(rtp(4, *[ts(VIDEO_PID)] * 7))
    plain, numbered = read_tap(pcap.path, name="server", log_text=pcap.log(), port=PORT).media
    assert plain.content == plain.identity == numbered.content != numbered.identity


def test_a_chain_is_judged_from_its_captures(tmp_path: Path):
    report = judge_tree(Chain(tmp_path).play().hops(), RunFacts(run="chain"))
    assert [check for check in report.checks if check.verdict is not Verdict.PASS] == []
    assert [(one.name, one.server, one.datagrams_active) for one in report.clients] == [
        ("relay-h2", "server", 20),
        ("client-1", "relay-h2", 20),
    ]


def test_what_a_relay_sends_too_late_is_a_leak_at_its_own_client(tmp_path: Path):
    chain = Chain(tmp_path).play()
    for pcap in chain.below():
        pcap.now_s = chain.relay.now_s + 0.05
        pcap.udp(HOST, CLIENT, datagram(27, 99))
    report = judge_tree(chain.hops(), RunFacts(run="late"))
    promises = {check.subject: check.verdict for check in report.checks if check.name == "promise"}
    assert promises == {"relay-h2": Verdict.PASS, "client-1": Verdict.FAIL}


def test_what_reaches_a_relay_too_late_is_a_leak_of_the_first_server(tmp_path: Path):
    chain = Chain(tmp_path).play()
    for pcap in chain.above():
        pcap.now_s = chain.relay.now_s + 0.05
        pcap.udp(SERVER, HOST, datagram(120, 99))
    report = judge_tree(chain.hops(), RunFacts(run="late"))
    promises = {check.subject: check.verdict for check in report.checks if check.name == "promise"}
    assert promises == {"relay-h2": Verdict.FAIL, "client-1": Verdict.PASS}


def test_refusals_and_fragments_belong_to_a_side(tmp_path: Path):
    pcap = Pcap(tmp_path / "relay.pcap")
    for source, destination in ((CLIENT, HOST), (HOST, SERVER)):
        quoted = IP(src=destination, dst=source) / UDP(sport=PORT, dport=50000)
        pcap.frame(Ether(**ETHER) / IP(src=source, dst=destination) / ICMP(type=3, code=3) / quoted)
    for number, (source, destination) in enumerate(((SERVER, HOST), (HOST, CLIENT))):
        first, *rest = in_fragments(datagram(5, 5), client=destination, number=number, source=source)
        pcap.frame(first)  # its end is lost
        _, *headless = in_fragments(datagram(6, 6), client=destination, number=9 + number, source=source)
        pcap.frames(*headless)
        assert rest
    facts = read_tap(pcap.path, name="relay-h2", log_text=pcap.log(), port=PORT)
    assert (len(facts.refusals), len(facts.incomplete), len(facts.headless)) == (2, 2, 2)
    side = as_server(facts, HOST)
    assert [one.media for one in side.refusals] == [(CLIENT, 50000)]
    assert [one.destination[0] for one in side.incomplete] == [CLIENT]
    assert [(one.source, one.destination) for one in side.headless] == [(HOST, CLIENT)]
    assert {one.destination for one in side.others} == {CLIENT, SERVER}


def test_media_on_the_control_connection_belong_to_a_side(tmp_path: Path):
    pcap = Pcap(tmp_path / "relay.pcap")
    for server, client in ((SERVER, HOST), (HOST, CLIENT)):
        pcap.server = server
        pcap.handshake(client).segment(client, server, line({"command": "connect", "transport": "tcp"}), flags="PA")
        pcap.reply({"reply": "connect", "state": "connecting", "transport": "tcp"}, client)
        pcap.reply({"event": "active", "state": "active", "first_sequence": 5}, client)
        data = datagram(5, 5)
        pcap.segment(server, client, len(data).to_bytes(2, "big") + data, flags="PA")
    facts = read_tap(pcap.path, name="relay-h2", log_text=pcap.log(), port=PORT)
    assert [one.destination for one in facts.media] == [(HOST, 40000), (CLIENT, 40000)]
    assert [one.destination for one in as_server(facts, HOST).media] == [(CLIENT, 40000)]


def test_what_a_bridge_sent_to_all_of_its_ports_is_not_the_relays(tmp_path: Path):
    """Another relay's connection to the server, and the datagrams that it gets, before the bridge knows where it is."""
    other = "198.18.0.4"
    pcap = Pcap(tmp_path / "relay.pcap")
    pcap.server = SERVER
    pcap.handshake(other).segment(other, SERVER, line({"command": "connect"}), flags="PA")
    pcap.frame(Ether(**ETHER) / IP(src=SERVER, dst=other) / UDP(sport=PORT, dport=50000) / datagram(5, 5))
    pcap.frame(Ether(**ETHER) / IP(src=HOST, dst=CLIENT) / UDP(sport=PORT, dport=50000) / datagram(6, 6))
    seen, own = (read_tap(pcap.path, name="r", log_text=pcap.log(), port=PORT, host=one) for one in (None, HOST))
    assert [one.destination[0] for one in as_server(seen, HOST).media] == [other, CLIENT]
    assert [one.destination[0] for one in as_server(own, HOST).media] == [CLIENT]
    assert (len(seen.starts), own.starts, own.messages) == (1, (), ())
    assert own.tap.packets == seen.tap.packets, "they are in the file"
