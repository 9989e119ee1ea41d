"""A player's host that vanishes sends no FIN: its connection ends when nothing has come from there for 15 s."""

from pathlib import Path

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import PLAYER_SILENCE_S, TapFacts
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.sessions import reconstruct
from flume.server.fronts import connection, rtsp
from support.captures.pcap import CLIENT, PORT, SERVER, START_S, Pcap, rtp
from support.captures.rtsp_wire import TCP, packet, request, response, udp


def test_the_time_is_that_of_the_server():
    in_all_s = rtsp.KEEPALIVE_IDLE_S + rtsp.KEEPALIVE_COUNT * rtsp.KEEPALIVE_INTERVAL_S
    assert in_all_s == connection.USER_TIMEOUT_MS / 1000 == PLAYER_SILENCE_S


class Vanishing(Pcap):
    """A player that plays from 0 s on, over UDP or on its connection."""

    def begin(self, transport: str) -> "Vanishing":
        self.is_tcp = transport == TCP
        header = f"Transport: {transport}"
        self.handshake()
        self.segment(CLIENT, SERVER, request("SETUP", 1, header), flags="PA")
        self.segment(SERVER, CLIENT, response("200 OK", 1, header), flags="PA")
        self.segment(CLIENT, SERVER, request("PLAY", 2), flags="PA")
        self.heard_s = self.now_s - 0.001
        self.segment(SERVER, CLIENT, response("200 OK", 2), flags="PA")
        return self

    def at(self, seconds: float) -> "Vanishing":
        """Go on that long after the last segment of the client."""
        self.now_s = self.heard_s + seconds
        return self

    def stream(self, *at_s: float) -> "Vanishing":
        """A datagram, or a packet on the connection, at each of *at_s*."""
        for number, seconds in enumerate(at_s):
            self.at(seconds)
            data = rtp(number)
            if self.is_tcp:
                self.segment(SERVER, CLIENT, packet(data), flags="PA")
            else:
                self.udp(SERVER, CLIENT, data, dport=9000)
        return self

    def facts(self) -> TapFacts:
        return read_tap(self.path, name="server", log_text=self.log(), port=PORT)

    def flow(self) -> Flow:
        facts = self.facts()
        return classify(CLIENT, facts.media, reconstruct(facts))


@pytest.mark.parametrize("transport", [udp(9000), TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("last", ["nothing", "RST", "its client again"])
def test_a_server_that_streams_on_to_a_host_that_has_vanished_is_caught(tmp_path: Path, transport: str, last: str):
    pcap = Vanishing(tmp_path / "tap.pcap").begin(transport).stream(1.0, 14.0, 16.5, 17.5, 30.0, 400.0)
    if last == "RST":
        pcap.segment(SERVER, CLIENT, flags="RA")
    elif last == "its client again":
        pcap.segment(CLIENT, SERVER, request("TEARDOWN", 3), flags="PA")
    flow = pcap.flow()
    assert (len(flow.active), len(flow.leaked), set(flow.reasons)) == (3, 3, {"after_connection_end"})
    (window,) = flow.windows
    assert window.closed_s == pytest.approx(pcap.heard_s + PLAYER_SILENCE_S, abs=1e-4)


def test_a_server_that_gives_the_host_up_in_time_passes(tmp_path: Path):
    pcap = Vanishing(tmp_path / "tap.pcap").begin(udp(9000)).stream(1.0, 14.0, 15.0)
    pcap.at(15.1).segment(SERVER, CLIENT, flags="RA")
    pcap.at(100.0).udp("198.18.0.12", CLIENT, b"x", sport=4000)
    facts = pcap.facts()
    (end,) = facts.ends
    assert end.by_server
    assert len(pcap.flow().leaked) == 0


def test_a_host_that_answers_keep_alives_is_there(tmp_path: Path):
    pcap = Vanishing(tmp_path / "tap.pcap").begin(udp(9000))
    began_s = pcap.now_s
    for seconds in range(5, 300, 5):
        pcap.now_s = began_s + seconds
        pcap.segment(SERVER, CLIENT, b"\0", offset=-1).segment(CLIENT, SERVER)
        pcap.udp(SERVER, CLIENT, rtp(seconds), dport=9000)
    assert pcap.facts().ends == ()
    assert len(pcap.flow().leaked) == 0


def test_clients_of_the_control_lines_say_by_tokens_that_they_are_there(tmp_path: Path):
    pcap = Pcap(tmp_path / "tap.pcap").handshake().request("connect")
    pcap.reply({"reply": "connect", "state": "connecting", "token": "00ff"})
    for seconds in range(2, 60, 2):
        pcap.now_s = START_S + seconds
        pcap.token(b"00ff").media(rtp(seconds))
    facts = read_tap(pcap.path, name="server", log_text=pcap.log(), port=PORT)
    assert facts.ends == ()
    assert classify(CLIENT, facts.media, reconstruct(facts)).leaked == ()
