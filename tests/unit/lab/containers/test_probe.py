"""What a capture's end says about whether it can be trusted."""

import pytest

from flume.errors import EngineError
from flume.lab.containers.probe import Tap, tap_end

LISTENING = "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n"
COUNTS = "{} packets captured\n{} packets received by filter\n{} packets dropped by kernel\n"


def test_a_clean_end_is_trusted() -> None:
    """Counts are there, the file agrees with them and nothing was dropped."""
    end = tap_end("server", LISTENING + COUNTS.format(120, 121, 0), state="ok", in_file=120, free_bytes=1 << 30)
    assert (end.captured, end.dropped_by_kernel, end.problem) == (120, 0, None)


def test_one_packet_is_counted_in_the_singular() -> None:
    """tcpdump writes "1 packet captured"."""
    log = LISTENING + "1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n"
    end = tap_end("server", log, state="ok", in_file=1, free_bytes=1 << 30)
    assert (end.captured, end.problem) == (1, None)


@pytest.mark.parametrize(
    ("log", "state", "in_file", "free_bytes", "problem"),
    [
        (LISTENING + COUNTS.format(120, 125, 5), "ok", 120, 1 << 30, "dropped 5 packets"),
        (LISTENING, "ok", 120, 1 << 30, "did not say how many"),
        ("", "ok", 0, 1 << 30, "did not say how many"),
        (LISTENING + COUNTS.format(120, 120, 0), "ok", 90, 0, "holds 90 packets of 120 captured (is the disk full?"),
        (LISTENING + COUNTS.format(120, 120, 0), "ok", -1, 0, "is cut off of 120 captured (is the disk full?"),
        (LISTENING + COUNTS.format(120, 120, 0), "ok", 121, 1 << 30, "was it written to by another?"),
        (LISTENING + COUNTS.format(120, 120, 0), "died", 120, 1 << 30, "ended before it was stopped"),
        (LISTENING + COUNTS.format(120, 126, 0), "behind", 120, 1 << 30, "had not read all that it saw"),
        ("", "died", -1, 1 << 30, "tcpdump printed nothing"),
        (
            LISTENING + "tcpdump: pcap_loop: The interface disappeared\n" + COUNTS.format(285, 285, 0),
            "died",
            285,
            1 << 30,
            "ended before it was stopped: tcpdump: pcap_loop: The interface disappeared",
        ),
    ],
)
def test_any_other_end_is_a_problem(log: str, state: str, in_file: int, free_bytes: int, problem: str) -> None:
    """Dropped packets, missing counts, a full disk and an early death are each named."""
    seen = tap_end("client-1", log, state=state, in_file=in_file, free_bytes=free_bytes).problem
    assert seen is not None
    assert problem in seen
    assert "\n" not in seen


@pytest.mark.parametrize(("set_ms", "named"), [(3_600_000, "+3600.0 s"), (-700, "-0.7 s"), (400, ""), (-400, "")])
def test_a_clock_that_was_set_while_the_tap_captured_is_a_problem(set_ms: int, named: str) -> None:
    """Windows and consent are judged by that clock: forward it made datagrams look as if nobody had asked for them."""
    log = LISTENING + COUNTS.format(120, 120, 0)
    end = tap_end("server", log, state="ok", in_file=120, free_bytes=1 << 30, set_ms=set_ms)
    assert (end.problem is not None) == bool(named)
    assert named in (end.problem or "")


@pytest.mark.parametrize(("name", "pid"), [("../x", 5), ("", 5), ("a b", 5), ("-n", 5), ("ok", 0)])
def test_a_tap_is_checked_when_it_is_built(name: str, pid: int) -> None:
    """Its name becomes a file name and a word in a script."""
    with pytest.raises(EngineError, match="tap"):
        Tap(name, pid)
