"""Echoes in a capture: they are no media, and media cannot be hidden as echoes."""

from pathlib import Path

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import END_GRACE_S, TapFacts
from flume.lab.trial.sessions import reconstruct
from support.captures.pcap import CLIENT, PORT, SERVER, Pcap, rtp

TOKEN = b"0123456789abcdef0123456789abcdef"
ASKED = (TOKEN + b"?").ljust(1328, b".")
OTHER = "198.18.0.12"


@pytest.fixture
def pcap(tmp_path: Path) -> Pcap:
    capture = Pcap(tmp_path / "tap.pcap")
    reply = {"reply": "connect", "state": "connecting", "token": TOKEN.decode()}
    return capture.handshake().request("connect").reply(reply)


def read(pcap: Pcap) -> TapFacts:
    return read_tap(pcap.path, name="server", log_text=pcap.log(), port=PORT)


def test_an_answer_to_a_request_is_no_media_and_the_request_no_consent(pcap: Pcap):
    pcap.token(ASKED).media(ASKED)
    pcap.token(TOKEN).reply({"event": "active", "state": "active", "first_sequence": 1}).media(rtp(1))
    pcap.token(ASKED).media(rtp(2)).media(ASKED)
    facts = read(pcap)
    assert facts.tap.problem is None
    assert [datagram.sequence for datagram in facts.media] == [1, 2]
    assert [consent.payload for consent in facts.consents] == [TOKEN]
    assert len(reconstruct(facts).windows) == 1


@pytest.mark.parametrize(
    ("answers", "media"),
    [
        ([ASKED, ASKED], 1),
        ([ASKED[:-1]], 1),
        ([ASKED + b"."], 1),
        ([ASKED[:-1] + b"!"], 1),
        ([rtp(1)], 1),
        ([ASKED], 0),
    ],
    ids=["twice", "shorter", "longer", "other bytes", "media", "honest"],
)
def test_what_is_not_byte_for_byte_the_answer_to_one_request_is_media(pcap: Pcap, answers: list[bytes], media: int):
    pcap.token(ASKED)
    for answer in answers:
        pcap.media(answer)
    assert len(read(pcap).media) == media


def test_an_answer_to_another_host_is_media(pcap: Pcap):
    assert len(read(pcap.token(ASKED).media(ASKED, client=OTHER)).media) == 1


def test_an_answer_to_a_host_without_that_session_is_media(pcap: Pcap):
    """A request with another host's token, or with an invented one, excuses no datagram."""
    stolen = pcap.token(ASKED, client=OTHER).media(ASKED, client=OTHER)
    invented = b"f" * 32 + b"?"
    assert len(read(stolen.token(invented).media(invented)).media) == 2


def test_nothing_is_an_answer_before_it_was_asked_for(pcap: Pcap):
    assert len(read(pcap.media(ASKED).token(ASKED)).media) == 1


def test_a_client_may_ask_from_any_of_its_ports(pcap: Pcap):
    pcap.udp(CLIENT, SERVER, ASKED, sport=50_001, dport=PORT).udp(SERVER, CLIENT, ASKED, dport=50_001)
    assert read(pcap).media == ()


@pytest.mark.parametrize(
    "end",
    [
        {"reply": "disconnect", "state": "closed", "last_sequence": None, "datagrams": 0},
        {"event": "closed", "state": "closed", "code": "consent_expired"},
    ],
    ids=["disconnect", "closed"],
)
def test_an_answer_behind_the_end_of_the_session_is_media(pcap: Pcap, end: dict[str, object]):
    pcap.token(ASKED).token(ASKED).media(ASKED).request("disconnect").reply(end)
    assert len(read(pcap).media) == 0
    assert len(read(pcap.media(ASKED)).media) == 1, "what was asked before it"
    assert len(read(pcap.token(ASKED).media(ASKED)).media) == 2, "and what is asked with its token afterwards"


def test_a_server_that_has_not_noticed_that_the_client_left_may_answer(pcap: Pcap):
    pcap.token(ASKED).token(ASKED).segment(CLIENT, SERVER, flags="FA").media(ASKED)
    assert len(read(pcap).media) == 0
    pcap.now_s += END_GRACE_S
    assert len(read(pcap.media(ASKED)).media) == 1


# -- requests for proof ----------------------------------------------------------------------------------------

PROOF = TOKEN + b"!0123456789ab"


def test_a_request_for_proof_is_no_media_and_its_answer_no_consent(pcap: Pcap):
    pcap.token(TOKEN).media(PROOF).token(PROOF)
    pcap.reply({"event": "active", "state": "active", "first_sequence": 1}).media(rtp(1))
    facts = read(pcap)
    assert [datagram.sequence for datagram in facts.media] == [1]
    assert len(reconstruct(facts).windows) == 1


@pytest.mark.parametrize(
    ("sent", "media"),
    [
        ([PROOF, PROOF], 0),
        ([PROOF, PROOF, PROOF], 1),
        ([PROOF + b"0"], 1),
        ([TOKEN + b"!"], 1),
        ([rtp(1)], 1),
        ([b"f" * 32 + PROOF[32:]], 1),
    ],
    ids=["twice", "three times", "longer", "shorter", "media", "another token"],
)
def test_what_is_not_one_of_two_short_answers_to_one_token_is_media(pcap: Pcap, sent: list[bytes], media: int):
    pcap.token(TOKEN)
    for data in sent:
        pcap.media(data)
    assert len(read(pcap).media) == media


def test_a_request_for_proof_to_another_host_is_media(pcap: Pcap):
    assert len(read(pcap.token(TOKEN).media(PROOF, client=OTHER)).media) == 1


def test_a_port_that_has_sent_its_proof_may_be_asked_again(pcap: Pcap):
    pcap.token(TOKEN).media(PROOF).token(PROOF)
    for _ in range(5):
        pcap.media(PROOF)
    assert read(pcap).media == ()
    assert len(read(pcap.udp(SERVER, CLIENT, PROOF, dport=50_001)).media) == 1, "and another port may not"
