"""The account of RTP's sequence numbers: known errors give exactly the known figures."""

from hypothesis import given
from hypothesis import strategies as st

from flume.measures.rtp import EMPTY, RtpAccount, SequenceAccount, account, extend, loss_runs


def numbers(*spans: tuple[int, int]) -> list[int]:
    return [number % 65536 for begin, end in spans for number in range(begin, end)]


def test_a_clean_stream_across_the_wrap_has_no_finding() -> None:
    assert account(numbers((65_000, 66_000))) == RtpAccount(1000, 1000, 0, 0, 0, {})


def test_three_runs_of_loss() -> None:
    found = account(numbers((100, 200), (201, 300), (302, 400), (405, 500)))
    assert (found.expected, found.lost, found.loss_runs, found.longest_run) == (400, 8, {1: 1, 2: 1, 5: 1}, 5)


def test_reordered_is_what_comes_behind_a_higher_number() -> None:
    # The example of RFC 4737, 3.4: 4 and 5 come behind 6, so two are reordered.
    assert account([1, 2, 3, 6, 4, 5, 7]) == RtpAccount(7, 7, 0, 0, 2, {})


def test_a_duplicate_is_no_reordered_datagram() -> None:
    assert account([1, 2, 2, 3, 1]) == RtpAccount(3, 3, 0, 2, 0, {})


def test_a_lost_one_that_comes_late_is_not_lost() -> None:
    late = SequenceAccount()
    for number in (1, 2, 5):
        late.add(number)
    assert late.account().lost == 2
    late.add(4)
    assert late.account() == RtpAccount(5, 4, 1, 0, 1, {1: 1})


def test_older_than_the_first() -> None:
    assert account([10, 8, 11]) == RtpAccount(4, 3, 1, 0, 1, {1: 1})


def test_a_run_at_the_edge_of_memory_is_counted_once() -> None:
    stream = numbers((0, 10), (14, 100_000))
    assert account(stream).loss_runs == {4: 1}


def test_intervals_add_up() -> None:
    assert EMPTY + account([1, 3]) == account([1, 3])
    assert account([1, 3]) + account([7, 9]) == RtpAccount(6, 4, 2, 0, 0, {1: 2})


@given(st.integers(0, 65535), st.sets(st.integers(1, 300)), st.lists(st.integers(0, 5), max_size=5))
def test_loss_is_what_was_left_out(first: int, lost: set[int], twice: list[int]) -> None:
    kept = [number for number in range(302) if number not in lost]
    stream = [(first + number) % 65536 for number in kept]
    for at in twice:
        stream.append(stream[at])
    found = account(stream)
    assert (found.expected, found.lost, found.duplicates, found.reordered) == (302, len(lost), len(twice), 0)
    assert sum(length * count for length, count in found.loss_runs.items()) == len(lost)


@given(st.integers(-(2**40), 2**40), st.integers(-32768, 32767))
def test_extended_numbers_are_the_nearest(near: int, step: int) -> None:
    assert extend((near + step) % 65536, near) == near + step


@given(st.permutations(range(40)), st.sets(st.integers(0, 39), max_size=20))
def test_in_any_order_what_never_came_is_lost_in_its_runs(order: list[int], lost: set[int]) -> None:
    came = [number for number in order if number not in lost]
    found = account(came)
    missing = [number for number in sorted(lost) if min(came) < number < max(came)]
    assert (found.lost, found.loss_runs, found.duplicates) == (len(missing), loss_runs(missing), 0)
