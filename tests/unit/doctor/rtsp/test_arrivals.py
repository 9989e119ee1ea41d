"""What is counted of a stream: gaps over the wrap, duplicates, what was lost before the first, reports."""

import pytest

from flume.doctor.rtsp.arrivals import Arrivals, announced_first_untrusted


def taken(*numbers: int, announced: int | None = None) -> Arrivals:
    arrivals = Arrivals()
    arrivals.first_announced = announced
    for at, number in enumerate(numbers):
        arrivals.take_untrusted(bytes([0x80, 96]) + number.to_bytes(2, "big") + bytes(8), at_s=float(at))
    return arrivals


@pytest.mark.parametrize(
    ("numbers", "announced", "count", "lost", "gap"),
    [
        ((), None, 0, 0, 0),
        ((), 5, 0, 0, 0),
        ((5, 6, 7), None, 3, 0, 0),
        ((5, 6, 7), 5, 3, 0, 0),
        ((5, 6, 7), 2, 3, 3, 3),
        ((5, 6, 7), 40_000, 3, 0, 0),
        ((5, 6, 7), 9, 3, 0, 0),
        ((65_534, 2), None, 2, 3, 3),
        ((0, 1), 65_534, 2, 2, 2),
        ((7, 5, 6, 6, 5), None, 3, 0, 0),
        ((7, 1, 4, 9), None, 4, 5, 2),
    ],
)
def test_gaps(numbers: tuple[int, ...], announced: int | None, count: int, lost: int, gap: int):
    arrivals = taken(*numbers, announced=announced)
    assert (arrivals.count, arrivals.lost, arrivals.longest_gap) == (count, lost, gap)


@pytest.mark.parametrize("datagram", [b"", b"\x80", bytes([0x40]) + bytes(20), bytes(11)])
def test_what_is_not_rtp_counts_for_nothing(datagram: bytes):
    arrivals = Arrivals()
    arrivals.take_untrusted(datagram, at_s=1.0)
    arrivals.take_report_untrusted(datagram, at_s=1.0)
    assert (arrivals.count, arrivals.reports, arrivals.first_s) == (0, 0, None)


def test_reports_and_their_end():
    arrivals = Arrivals()
    arrivals.take_report_untrusted(bytes.fromhex("81c90001 00000007"), at_s=1.0)
    assert (arrivals.reports, arrivals.first_report_s) == (0, None), "a receiver's"
    arrivals.take_report_untrusted(bytes.fromhex("80c80000 81ca0000"), at_s=2.0)
    arrivals.take_report_untrusted(bytes.fromhex("80c80000 81cb0000"), at_s=3.0)
    assert (arrivals.reports, arrivals.first_report_s, arrivals.is_over) == (2, 2.0, True)


@pytest.mark.parametrize(
    ("header", "number"),
    [
        ("", None),
        ("url=a;seq=x", None),
        ("url=a;seq=7", 7),
        ("url=a; SEQ=7 ", 7),
        ("url=a;seq=123456", None),
        ("url=a;seq=70000", 4464),
        ("url=a;seq=1,url=b;seq=2", 1),
    ],
)
def test_the_announced_number(header: str, number: int | None):
    assert announced_first_untrusted(header) == number
