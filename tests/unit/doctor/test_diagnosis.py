"""What the doctor concludes from what it saw, without a network."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.doctor import diagnosis
from flume.doctor.banner import describe_untrusted
from flume.doctor.observations import ControlSeen, HostSeen, Icmp, NameSeen, StateSeen, StreamSeen, TcpSeen
from flume.doctor.remedies import PathEnds
from flume.errors import SettingsError

PATH = PathEnds("192.0.2.7", 5004, "192.0.2.9")
UNASKED = HostSeen((), None)
PROHIBITED = Icmp(4, 3, 13, "192.0.2.1")


def tcp(outcome: str, icmp: Icmp | None = None, *, port: int = 5004, reason: str | None = None) -> TcpSeen:
    return TcpSeen("192.0.2.7", port, outcome, reason, icmp, 0.5)


def stream(**values: object) -> StreamSeen:
    usual: dict[str, Any] = {"window_s": 3.0, "received": 600, "received_bytes": 796_800, "sent": 600}
    return StreamSeen(**(usual | values))


def test_a_finding_is_one_that_its_leg_may_come_to():
    with pytest.raises(SettingsError, match="tcp='lossy'"):
        diagnosis.Finding(leg="tcp", finding="lossy", detail="")
    with pytest.raises(SettingsError, match="leg='teapot'"):
        diagnosis.Finding(leg="teapot", finding="ok", detail="")
    assert diagnosis.untested("udp_out", "no").weight == "untested"


@pytest.mark.parametrize(
    ("seen", "finding", "says"),
    [
        (NameSeen("a", ("192.0.2.7",), None, 0.1), "ok", "a resolves to 192.0.2.7"),
        (NameSeen("192.0.2.7", ("192.0.2.7",), None, 0.1), "ok", "is an address"),
        (NameSeen("a", (), "Name or service not known", 0.1), "unknown", "not known here"),
        (NameSeen("a", (), None, 2.5), "unknown", "no name server answered"),
    ],
)
def test_names(seen, finding, says):
    found = diagnosis.name(seen)
    assert (found.finding, says in found.detail) == (finding, True)
    assert (found.remedy is None) == (finding == "ok")


@pytest.mark.parametrize(
    ("seen", "other", "finding"),
    [
        (tcp("open"), UNASKED, "reachable"),
        (tcp("refused"), UNASKED, "reachable"),
        (tcp("silent"), HostSeen((tcp("refused", port=9),), False), "reachable"),
        (tcp("silent"), HostSeen((tcp("silent", port=9),), True), "reachable"),
        (tcp("silent"), HostSeen((tcp("silent", port=9),), False), "silent"),
        (tcp("unreachable", Icmp(4, 3, 13, "192.0.2.7")), UNASKED, "reachable"),
        (tcp("unreachable", PROHIBITED), UNASKED, "silent"),
        (tcp("unreachable", reason="No route to host"), UNASKED, "silent"),
    ],
)
def test_a_host_is_there_when_anything_of_it_answers(seen, other, finding):
    assert diagnosis.host(seen, other, PATH).finding == finding


@pytest.mark.parametrize(
    ("seen", "other", "finding", "says"),
    [
        (tcp("silent"), UNASKED, "dropped", "on the server 'iptables -I INPUT -p tcp --dport 5004 -j ACCEPT'"),
        (tcp("unreachable", PROHIBITED), UNASKED, "rejected", "on the router 192.0.2.1"),
        (tcp("refused", Icmp(4, 3, 3, "192.0.2.9")), UNASKED, "rejected", "on this machine"),
        (tcp("refused"), UNASKED._replace(udp_port_refused=True), "rejected", "no server listens at 192.0.2.7"),
        (tcp("refused"), UNASKED._replace(udp_port_refused=False, other_udp_refused=True), "rejected", "on the server"),
        (tcp("refused"), UNASKED._replace(udp_port_refused=False, other_udp_refused=False), "rejected", "if it does"),
        (tcp("unreachable", Icmp(4, 3, 1, "192.0.2.1")), UNASKED, "unreachable", "host unreachable from 192.0.2.1"),
        (tcp("unreachable", reason="Network is unreachable"), UNASKED, "unreachable", "ip route get 192.0.2.7"),
    ],
)
def test_a_port_that_does_not_open_is_told_apart(seen, other, finding, says):
    found = diagnosis.tcp(seen, other, PATH, alive=True)
    assert found.finding == finding
    assert says in f"{found.detail} {found.remedy}"


def test_silence_of_control_is_the_paths_or_the_programs():
    dropped = diagnosis.control(ControlSeen("silent", "", 2.5, 21), PATH)
    mute = diagnosis.control(ControlSeen("silent", "", 2.5, 0), PATH)
    assert dropped.finding == mute.finding == "silent"
    assert "ESTABLISHED" in str(dropped.remedy)
    assert "ss -ltnp" in str(mute.remedy)


@pytest.mark.parametrize(
    ("lost", "finding"),
    [(0, "ok"), (2, "ok"), (3, "lossy"), (300, "lossy")],
)
def test_a_few_losses_are_chance(lost, finding):
    seen = stream(received=600 - lost)
    assert diagnosis.udp_back(seen, PATH).finding == finding
    in_a_longer_stream = seen._replace(sent=6000, received=6000 - lost)
    assert diagnosis.udp_back(in_a_longer_stream, PATH).finding == ("ok" if lost < 30 else finding)


def test_what_the_receiver_dropped_is_not_the_networks():
    seen = stream(received=500, dropped_here=100)
    assert diagnosis.udp_back(seen, PATH).finding == "ok"


@pytest.mark.parametrize(
    ("seen", "back", "size"),
    [
        (stream(), "ok", "ok"),
        (stream(fragment_bytes=1276), "ok", "fragmented"),
        (stream(received=0, echoes_answered=(64, 548)), "ok", "too_big"),
        (stream(received=0, echoes_answered=(64, 1328)), "dropped", "ok"),
        (stream(received=0, sent=0, echoes_answered=(64, 1472)), "ok", "ok"),
        (stream(received=0), "dropped", "untested"),
        (stream(received=0, sent=None, closed="port_unreachable"), "rejected", "untested"),
        (stream(received=0, sent=0, server_drops={"send_eperm": 9}), "dropped", "untested"),
        (stream(received=0, sent=9, server_drops={"send_ehostunreach": 9}), "rejected", "untested"),
    ],
)
def test_what_comes_back_and_of_which_size(seen, back, size):
    assert (diagnosis.udp_back(seen, PATH).finding, diagnosis.path_mtu(seen, PATH).finding) == (back, size)


@pytest.mark.parametrize(
    ("seen", "finding"),
    [
        (StateSeen(4.0, 100, 100), "ok"),
        (StateSeen(4.0, 100, 0, 90), "forgets"),
        (StateSeen(4.0, 100, 0, 0), "forgets"),
        (StateSeen(4.0, 100, 0, closed="port_unreachable"), "forgets"),
        (StateSeen(4.0, 0, 0), "untested"),
        (StateSeen(4.0, 0, 0, closed="shutdown"), "untested"),
    ],
)
def test_what_a_silence_does(seen, finding):
    assert diagnosis.udp_state(seen, PATH).finding == finding


def test_a_translation_is_told_and_is_no_fault():
    found = diagnosis.nat(("10.0.0.2", 40_000), ("192.0.2.9", 61_000))
    assert (found.finding, found.weight) == ("translated", "well")
    assert "192.0.2.9 port 61000 instead of 10.0.0.2 port 40000" in found.detail
    assert diagnosis.nat(("10.0.0.2", 40_000), ("10.0.0.2", 40_000)).finding == "none"


def test_well_is_when_nothing_is_blocked_and_nothing_left_out():
    well = diagnosis.Finding(leg="tcp", finding="open", detail="")
    small = diagnosis.Finding(leg="receive_buffer", finding="small", detail="")
    assert diagnosis.is_well([well, small])
    assert not diagnosis.is_well([well, diagnosis.untested("udp_out", "")])
    assert not diagnosis.is_well([well, diagnosis.Finding(leg="udp_out", finding="dropped", detail="")])


@given(st.binary(max_size=300))
def test_any_beginning_is_described_in_one_line(beginning):
    said = describe_untrusted(beginning, port=5004)
    assert said.startswith("port 5004 ")
    assert said.isprintable()


CUT = {"echoes_asked": (64, 548, 1232, 1328, 1472), "echoes_answered": (64, 548, 1232)}


def test_loss_that_size_decides_is_no_limit_of_the_rate():
    """A server that cuts only its batches: short datagrams and batches pass, single long ones vanish."""
    seen = stream(received=200, fragment_bytes=1280, **CUT)
    assert diagnosis.udp_back(seen, PATH).finding == "ok"
    found = diagnosis.path_mtu(seen, PATH)
    assert (found.finding, "--datagram-packets 6" in str(found.remedy)) == ("too_big", True)


@pytest.mark.parametrize(
    "echoes", [{}, CUT, {**CUT, "echoes_answered": (64, 1472)}, {**CUT, "echoes_asked": (64, 548, 1232)}]
)
def test_loss_of_all_sizes_is_loss(echoes):
    seen = stream(received=200, **echoes)
    assert diagnosis.udp_back(seen, PATH).finding == "lossy"
    assert diagnosis.path_mtu(seen, PATH).finding == "ok"


def test_a_stream_of_short_datagrams_needs_less():
    found = diagnosis.path_mtu(stream(datagram_bytes=1140, **CUT), PATH)
    assert (found.finding, "the stream's have 1168" in found.detail) == ("ok", True)
