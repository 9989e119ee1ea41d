"""What the tests say of RTP numbers fails for each fault, and names it."""

import pytest

from support.clients.numbers import assert_complete, assert_consecutive
from support.clients.rtsp_client import is_reset, sequences


def test_complete_numbers_come_in_any_order_and_across_the_wrap() -> None:
    assert assert_complete([65_534, 0, 65_535, 1]) == 65_534
    assert assert_complete([2, 1, 0, 65_535]) == 65_535
    assert_consecutive([65_534, 65_535, 0, 1])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(AssertionError, match=r"missing of 5: 2 \[65535, 1\]"):
        assert_complete([65_534, 0, 2])
    with pytest.raises(AssertionError, match=r"of 3 datagrams from 65534 on: 0 after 65534, 2 after 0"):
        assert_consecutive([65_534, 0, 2])


def test_what_came_twice_is_named() -> None:
    with pytest.raises(AssertionError, match=r"more than once: 1 \[7\]"):
        assert_complete([6, 7, 8, 7])
    with pytest.raises(AssertionError, match=r"7 after 7"):
        assert_consecutive([6, 7, 7, 8])


def test_only_null_packets_with_the_marker_and_the_last_number_are_passed_over() -> None:
    null, other = b"\x47\x1f\xff\x10" + bytes(184), b"\x47\x01\x00\x10" + bytes(184)
    last = b"\x80\xa1\xff\xff" + bytes(8)
    assert is_reset(last + null * 7)
    assert not is_reset(last + null * 6 + other)
    assert not is_reset(b"\x80\xa1\xff\xfe" + bytes(8) + null * 7)
    assert not is_reset(b"\x80\x21\xff\xff" + bytes(8) + null * 7)
    assert sequences([b"\x80\x21\xff\xff" + bytes(8) + null, last + null, b"\x80\x21\0\0" + bytes(8) + other]) == [
        65_535,
        0,
    ]
