"""The datagrams of ``clock-probe``, and which exchange counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.exchanges import (
    LAYOUT,
    MOST_A_SECOND,
    AnswerLimit,
    Exchange,
    answer,
    answered_untrusted,
    best,
    number_asked_untrusted,
    question,
    summary,
)

COOKIE = bytes(range(16))
TIME_NS = 1_700_000_000_000_000_000


@given(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_what_is_asked_and_answered_is_read_back(number: int, heard: int, answered: int) -> None:
    asked, reply = question(COOKIE, number), answer(COOKIE, number, heard, answered)
    assert number_asked_untrusted(asked, COOKIE) == number
    assert answered_untrusted(reply, COOKIE) == (number, heard, answered)
    assert len(reply) == len(asked) == LAYOUT.size


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"FLCK",
        question(bytes(16), 7),
        answer(COOKIE, 7, 1, 2),
        question(COOKIE, 7)[:-1],
        question(COOKIE, 7) + b"\0",
        question(COOKIE, 7)[:-1] + b"\1",
        b"X" + question(COOKIE, 7)[1:],
    ],
)
def test_nothing_but_a_question_with_the_cookie_is_one(junk: bytes) -> None:
    assert number_asked_untrusted(junk, COOKIE) is None


@pytest.mark.parametrize(
    "junk", [b"", question(COOKIE, 7), answer(bytes(16), 7, 1, 2), answer(COOKIE, 7, 1, 2)[1:], bytes(LAYOUT.size)]
)
def test_nothing_but_an_answer_with_the_cookie_is_one(junk: bytes) -> None:
    assert answered_untrusted(junk, COOKIE) is None


@given(st.integers(-(10**13), 10**13), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**6))
def test_the_offset_is_within_half_the_round_trip_of_the_true_one(
    ahead: int, there: int, back: int, inside: int
) -> None:
    heard = TIME_NS + there + ahead
    one = Exchange(TIME_NS, heard, heard + inside, TIME_NS + there + inside + back)
    assert one.round_trip == there + back
    assert abs(one.offset - ahead) <= one.round_trip / 2 + 1
    assert one.offset == pytest.approx(ahead + (there - back) / 2, abs=1)


def test_the_quickest_exchange_counts_and_none_that_a_clock_step_made_quick() -> None:
    slow, quick = Exchange(0, 5000, 5010, 3000), Exchange(0, 2100, 2110, 210)
    stepped = Exchange(0, 2100, 2110, -3_600_000_000_000)
    assert best([slow, quick, stepped]) == quick
    assert best([stepped]) is None
    assert best([]) is None
    assert summary(None, 0) == '{"offset_ns": null, "round_trip_ns": null, "asked_ns": null, "answers": 0}'


def test_answers_are_limited_in_each_second() -> None:
    limit = AnswerLimit()
    assert sum(limit.allows(10**9 + at) for at in range(2 * MOST_A_SECOND)) == MOST_A_SECOND
    assert limit.allows(2 * 10**9)
