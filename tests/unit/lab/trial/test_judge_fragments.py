"""The judge on datagrams that travel in IP fragments: each is one datagram in the account, whatever became of it."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scapy.packet import Packet

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Claims, Counters, Evidence, Expectations, Subject, TapFacts
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, Verdict
from support.captures.judging import RUN, detail, verdicts
from support.captures.pcap import CLIENT, PORT, SERVER, START_S, Pcap, in_fragments, rtp

DATAGRAMS = 6
Link = Callable[[int, list[bytes]], list[bytes]]
"""What a path makes of the fragments of the datagram with this number."""


def as_it_is(_number: int, parts: list[bytes]) -> list[bytes]:
    return parts


def first_lost(number: int, parts: list[bytes]) -> list[bytes]:
    return parts[1:] if number == 2 else parts


def last_lost(number: int, parts: list[bytes]) -> list[bytes]:
    return parts[:1] if number in {2, 4} else parts


def both_lost(number: int, parts: list[bytes]) -> list[bytes]:
    return [] if number == 2 else parts


def repeated(number: int, parts: list[bytes]) -> list[bytes]:
    return [*parts, *parts, parts[1]] if number == 2 else parts


def damaged(number: int, parts: list[bytes]) -> list[bytes]:
    return [parts[0][:-1] + b"!", parts[1]] if number == 2 else parts


def damaged_and_torn(number: int, parts: list[bytes]) -> list[bytes]:
    return [parts[0][:-1] + b"!"] if number == 2 else parts


def in_turn(_number: int, parts: list[bytes]) -> list[bytes]:
    return parts[::-1]


class Taps:
    """Captures at the server and at its client, of one window with *datagrams* in two fragments each.

    *path* is what the link makes of the fragments, *leaving* what the server's own host has made of them before.
    """

    def __init__(
        self, folder: Path, *, path: Link = as_it_is, leaving: Link = as_it_is, datagrams: int = DATAGRAMS
    ) -> None:
        self.server, self.client = (Pcap(folder / f"{name}.pcap") for name in ("server", "client-1"))
        for tap in (self.server, self.client):
            tap.handshake().request("connect").reply({"reply": "connect", "state": "connecting", "token": "00ff"})
            tap.token(b"00ff").reply({"event": "active", "state": "active", "first_sequence": 0})
        for number in range(datagrams):
            parts = [bytes(part) for part in in_fragments(rtp(number), number=number + 1)]
            self.pass_by(leaving(number, parts), functools.partial(path, number))
        for tap in (self.server, self.client):
            answer = {"reply": "interrupt", "state": "interrupted", "last_sequence": datagrams - 1}
            tap.request("interrupt").reply({**answer, "datagrams": datagrams})

    def pass_by(self, frames: list[bytes], path: Callable[[list[bytes]], list[bytes]]) -> None:
        self.server.frames(*frames)
        self.client.now_s = self.server.now_s
        self.client.frames(*path(frames))
        self.server.now_s = self.client.now_s = max(self.server.now_s, self.client.now_s)

    def facts(self) -> tuple[TapFacts, ...]:
        return tuple(
            read_tap(tap.path, name=tap.path.stem, log_text=tap.log(), port=PORT) for tap in (self.server, self.client)
        )

    def judged(self, *, received: int = DATAGRAMS, **counters: int) -> Report:
        subject = Subject(
            name="client-1",
            address=CLIENT,
            tap="client-1",
            claims=Claims(datagrams=received),
            counters=Counters(**counters),
            watches=False,
        )
        expectations = Expectations(link_loses=True, frames_min_pct=None)
        return judge(Evidence(START_S, "server", self.facts(), (subject,), expectations), RUN)


def wrong(report: Report) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in report.checks if check.verdict is not Verdict.PASS}


@pytest.mark.parametrize("path", [as_it_is, in_turn, repeated])
def test_datagrams_that_arrive_in_fragments_are_received(tmp_path: Path, path: Link):
    report = Taps(tmp_path, path=path).judged()
    assert wrong(report) == {}
    assert report.balance.sent == report.balance.received == DATAGRAMS


def test_what_a_firewall_drops_behind_the_client_s_tap_is_the_firewall_s(tmp_path: Path):
    report = Taps(tmp_path).judged(received=0, dropped_by_firewall=DATAGRAMS)
    assert wrong(report) == {"reception": Verdict.FAIL}
    assert report.balance.dropped_by_firewall == DATAGRAMS
    assert report.balance.unexplained == report.balance.lost_on_link == 0


@pytest.mark.parametrize(
    ("path", "packets", "datagrams"),
    [(first_lost, 1, 1), (last_lost, 2, 2), (both_lost, 2, 1), (damaged_and_torn, 1, 1)],
)
def test_a_datagram_that_the_link_lost_in_part_is_one_lost_datagram(
    tmp_path: Path, path: Link, packets: int, datagrams: int
):
    taps = Taps(tmp_path, path=path)
    report = taps.judged(received=DATAGRAMS - datagrams, lost_on_link=packets)
    assert wrong(report) == {}
    assert (report.balance.lost_on_link, report.balance.unexplained) == (datagrams, 0)
    miscounted = taps.judged(received=DATAGRAMS - datagrams, lost_on_link=packets + 1)
    assert miscounted.verdict is not Verdict.PASS, "netem counts one more than is missing"


def test_a_datagram_that_is_damaged_in_one_fragment_is_one_damaged_datagram(tmp_path: Path):
    report = Taps(tmp_path, path=damaged).judged(received=DATAGRAMS - 1, damaged_on_link=1)
    assert wrong(report) == {}
    assert (report.balance.damaged_on_link, report.balance.lost_on_link, report.balance.unexplained) == (1, 0, 0)


@pytest.mark.parametrize(("until", "lost"), [(30, 0), (36, 1)])
def test_fragments_that_come_too_far_apart_for_the_client_s_host_are_lost_on_the_link(
    tmp_path: Path, until: int, lost: int
):
    held: list[bytes] = []

    def held_back(number: int, parts: list[bytes]) -> list[bytes]:
        if number == 0:
            held.append(parts.pop())
        return [*parts, held.pop()] if number == until else parts

    report = Taps(tmp_path, path=held_back, datagrams=40).judged(received=40 - lost)
    assert wrong(report) == {}
    assert (report.balance.lost_on_link, report.balance.unexplained) == (lost, 0)


def test_a_part_of_a_datagram_that_left_is_a_datagram_that_left(tmp_path: Path):
    report = Taps(tmp_path, leaving=last_lost).judged(received=DATAGRAMS - 2)
    assert report.balance.sent == DATAGRAMS
    assert report.balance.unexplained == 2, "no link lost it"
    assert wrong(report)["balance"] is Verdict.FAIL


def leaked(taps: Taps, parts: Sequence[Packet]) -> Report:
    taps.server.frames(*parts)
    return taps.judged()


def test_a_leak_in_fragments_is_a_leak_even_when_only_its_beginning_leaves(tmp_path: Path):
    parts = in_fragments(rtp(DATAGRAMS), number=50)
    for name, some in (("whole", parts), ("beginning", parts[:1])):
        (tmp_path / name).mkdir()
        report = leaked(Taps(tmp_path / name), some)
        assert verdicts(report, "promise")["client-1"] is Verdict.FAIL
        assert report.clients[0].leak_reasons == {"after_interrupt": 1}


def test_fragments_without_a_beginning_leave_no_verdict_on_the_server(tmp_path: Path):
    report = leaked(Taps(tmp_path), in_fragments(rtp(DATAGRAMS), number=50)[1:])
    assert report.verdict is Verdict.ERROR
    assert detail(report, "capture", "server") == (
        "1 packets left in IP fragments without the first one: whose they are is not known"
    )


def test_fragments_of_other_hosts_are_none_of_the_server_s(tmp_path: Path):
    taps = Taps(tmp_path)
    last = in_fragments(b"?" * 1400, number=50)[1]
    last["IP"].src, last["IP"].dst = "198.18.0.1", CLIENT
    taps.client.frame(last)
    last["IP"].src, last["IP"].dst = CLIENT, SERVER
    assert wrong(leaked(taps, [last])) == {}
