"""The judge on media over the control connection: order by position, skips, and whether the client asked for it."""

from pathlib import Path

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Claims, Event, Evidence, Expectations, Subject, TapFacts
from flume.lab.trial.flows import classify
from flume.lab.trial.judge import judge
from flume.lab.trial.numbering import holes, passed_over
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import RunFacts, Verdict
from support.captures.pcap import CLIENT, PORT, SERVER, START_S, VIDEO_PID, Pcap, line, pat, pmt, rtp, ts

FRAME = ts(VIDEO_PID, b"\0\0\1\xe0", unit_start=True)
ACTIVE = line({"event": "active", "state": "active", "first_sequence": 1})


def frame(sequence: int, *packets: bytes) -> bytes:
    packet = rtp(sequence, *packets)
    return len(packet).to_bytes(2, "big") + packet


def interrupted(last: int | None, datagrams: int) -> bytes:
    return line({"reply": "interrupt", "state": "interrupted", "last_sequence": last, "datagrams": datagrams})


def continued(first: int) -> bytes:
    return line({"reply": "continue", "state": "active", "first_sequence": first})


class Connection:
    """One client's connection. The test decides what the server sends on it, and in which segments."""

    def __init__(self, path: Path, *, asks: str = "tcp", answers: str = "tcp") -> None:
        self.pcap = Pcap(path / "tap.pcap").handshake()
        self.pcap.segment(CLIENT, SERVER, line({"command": "connect", "transport": asks}), flags="PA")
        self.say(line({"reply": "connect", "state": "connecting", "token": "", "transport": answers}))

    def say(self, *parts: bytes) -> "Connection":
        self.pcap.segment(SERVER, CLIENT, b"".join(parts), flags="PA")
        return self

    def ask(self, *commands: str) -> "Connection":
        self.pcap.segment(CLIENT, SERVER, b"".join(line({"command": name}) for name in commands), flags="PA")
        return self

    def facts(self) -> TapFacts:
        return read_tap(self.pcap.path, name="server", log_text=self.pcap.log(), port=PORT)

    def leaks(self) -> tuple[int, dict[str, int]]:
        facts = self.facts()
        assert facts.tap.problem is None
        flow = classify(CLIENT, facts.media, reconstruct(facts))
        return len(flow.leaked), flow.reasons


def test_frames_are_datagrams_at_the_time_of_the_segment_that_completes_them(tmp_path: Path):
    data = frame(1, pat(), pmt(), FRAME) + frame(2) + frame(3, FRAME)
    connection = Connection(tmp_path).say(ACTIVE, data[:700]).say(data[700:2700]).say(data[2700:])
    facts = connection.facts()
    assert facts.tap.problem is None
    assert [(d.sequence, d.bytes, d.video_frames_started, d.is_entry) for d in facts.media] == [
        (1, 1328, 1, True),
        (2, 1328, 0, False),
        (3, 1328, 1, False),
    ]
    assert [round(d.time_s - START_S, 3) for d in facts.media] == [0.006, 0.006, 0.007]
    assert {d.destination for d in facts.media} == {(CLIENT, 40000)}
    assert [message.name for message in facts.messages if isinstance(message, Event)] == ["active"]


def test_a_retransmitted_frame_counts_once_and_at_its_first_time(tmp_path: Path):
    connection = Connection(tmp_path).say(ACTIVE)
    data = frame(1)
    connection.say(data[:1000])
    connection.pcap.segment(SERVER, CLIENT, data[:1000], flags="PA", offset=-1000)
    connection.say(data[1000:])
    connection.pcap.segment(SERVER, CLIENT, data, flags="PA", offset=-len(data))
    (datagram,) = connection.facts().media
    assert datagram.time_s == pytest.approx(START_S + 0.008)


def test_in_one_segment_the_position_decides_what_was_before_the_acknowledgement(tmp_path: Path):
    good = Connection(tmp_path).say(ACTIVE).ask("interrupt", "continue")
    good.say(frame(1), frame(2), interrupted(2, 2), continued(3), frame(3)).ask("interrupt").say(interrupted(3, 1))
    assert good.leaks() == (0, {})
    windows = reconstruct(good.facts()).windows
    assert [(w.opened_by, w.closed_by, w.datagrams) for w in windows] == [
        ("connect", "interrupt", 2),
        ("continue", "interrupt", 1),
    ]


def test_in_one_segment_a_frame_behind_the_acknowledgement_is_a_leak(tmp_path: Path):
    bad = Connection(tmp_path).say(ACTIVE).ask("interrupt").say(frame(1), interrupted(1, 1), frame(2))
    assert bad.leaks() == (1, {"after_interrupt": 1})


def test_a_frame_between_two_windows_of_one_segment_is_a_leak(tmp_path: Path):
    bad = Connection(tmp_path).say(ACTIVE).ask("interrupt", "continue")
    bad.say(frame(1), interrupted(1, 1), frame(2), continued(3), frame(3))
    assert bad.leaks() == (1, {"after_interrupt": 1})


def test_a_frame_before_active_is_a_leak(tmp_path: Path):
    assert Connection(tmp_path).say(frame(1)).say(ACTIVE).leaks() == (1, {"before_consent": 1})
    assert Connection(tmp_path).say(frame(1), ACTIVE).leaks()[0] == 1, "in one segment it still came before"


def test_a_server_that_sends_frames_to_a_client_that_did_not_ask_is_caught(tmp_path: Path):
    assert Connection(tmp_path, asks="udp").say(ACTIVE, frame(1), frame(2)).leaks()[0] == 2


def test_media_over_tcp_do_not_excuse_datagrams(tmp_path: Path):
    connection = Connection(tmp_path).say(ACTIVE, frame(1))
    connection.pcap.media(rtp(2))
    connection.pcap.udp(SERVER, CLIENT, rtp(3), dport=40000)
    assert connection.leaks()[0] == 2


def slow(tmp_path: Path, *after: bytes) -> TapFacts:
    said = Connection(tmp_path).say(ACTIVE, frame(1), frame(2), *after)
    return said.ask("interrupt").say(interrupted(21, 4)).facts()


def test_a_slow_connection_may_go_on_where_a_player_can_begin_and_that_is_loss(tmp_path: Path):
    facts = slow(tmp_path, frame(20, pat(), pmt(), FRAME), frame(21))
    flow = classify(CLIENT, facts.media, reconstruct(facts))
    assert (holes(flow.allowed[0]), passed_over(flow)) == (0, 17)
    subject = Subject(name="client-1", address=CLIENT, claims=Claims(datagrams=4))
    evidence = Evidence(START_S, "server", (facts,), (subject,), Expectations(frames_min_pct=None))
    report = judge(evidence, RunFacts(run="slow"))
    checks = {check.name: check for check in report.checks}
    assert checks["sequence"].verdict is Verdict.PASS
    assert "17 passed over" in checks["sequence"].detail
    assert checks["balance"].verdict is Verdict.PASS
    assert checks["loss"].verdict is Verdict.FAIL
    assert report.clients[0].datagrams_lost == 17


@pytest.mark.parametrize(
    "after", [(frame(20), frame(21)), (frame(2), frame(21))], ids=["in the middle of a frame", "backwards"]
)
def test_any_other_break_of_the_numbering_is_the_servers_fault(tmp_path: Path, after: tuple[bytes, ...]):
    facts = slow(tmp_path, *after)
    assert holes(classify(CLIENT, facts.media, reconstruct(facts)).allowed[0]) > 0


def test_a_connection_whose_beginning_is_not_in_the_capture_is_read_as_lines(tmp_path: Path):
    pcap = Pcap(tmp_path / "tap.pcap").segment(SERVER, CLIENT, frame(1)[500:] + interrupted(1, 1), flags="PA")
    assert read_tap(pcap.path, name="server", log_text=pcap.log(), port=PORT).media == ()
