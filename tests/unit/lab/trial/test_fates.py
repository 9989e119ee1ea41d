"""Which departures a client's record of its losses means: numbers that return, and claims of any size."""

from flume.lab.evidence.facts import GivenUp, MediaDatagram, PlayerRecord, TooLate
from flume.lab.trial.fates import kept_from_player
from flume.lab.trial.matching import Matching

ENDS = ("198.18.0.2", 5004), ("198.18.0.11", 50000)


def sent(time_s: float, number: int) -> MediaDatagram:
    return MediaDatagram(time_s, *ENDS, b"", number, 7, 1328, 0)


def matching(arrived: list[MediaDatagram], missing: tuple[MediaDatagram, ...] = ()) -> Matching:
    return Matching(tuple((one, one._replace(time_s=one.time_s + 0.001)) for one in arrived), missing, 0, ())


def test_the_latest_departure_with_the_number_is_meant() -> None:
    """At 7 Mbit/s the numbers return within a minute and a half."""
    first, again = sent(10.0, 5), sent(90.0, 5)
    pair = matching([first, again])
    assert kept_from_player(pair, PlayerRecord(given_up=(GivenUp(90.1, 5, 5),))) == {id(again): False}
    assert kept_from_player(pair, PlayerRecord(given_up=(GivenUp(10.1, 5, 5),))) == {id(first): False}
    assert kept_from_player(pair, PlayerRecord(late=(TooLate(90.1, 5),))) == {id(again): True}


def test_a_number_that_is_sent_again_and_lost_is_not_the_copy_that_arrived() -> None:
    first, again = sent(10.0, 5), sent(12.0, 5)
    record = PlayerRecord(given_up=(GivenUp(12.1, 4, 6),), late=())
    assert kept_from_player(matching([first], (again,)), record) == {}


def test_each_entry_has_its_own_departure_in_any_order() -> None:
    some = [sent(10 + at, number) for at, number in enumerate((65534, 65535, 0, 1, 2))]
    record = PlayerRecord(given_up=(GivenUp(20.0, 65535, 0), GivenUp(19.0, 2, 2)), late=(TooLate(20.5, 0),))
    kept = kept_from_player(matching(some), record)
    assert kept == {id(some[1]): False, id(some[2]): True, id(some[4]): False}
    assert list(kept) == [id(some[1]), id(some[2]), id(some[4])], "in the order in which they left"


def test_what_left_long_before_is_not_meant() -> None:
    assert kept_from_player(matching([sent(10.0, 5)]), PlayerRecord(given_up=(GivenUp(200.0, 5, 5),))) == {}


def test_claims_of_all_numbers_take_no_memory() -> None:
    """Each number written out, these would be 1.3 thousand million."""
    some = [sent(10 + at / 1000, at) for at in range(1000)]
    record = PlayerRecord(given_up=tuple(GivenUp(20 + at / 1000, 7, 6) for at in range(20_000)))
    assert len(kept_from_player(matching(some), record)) == 1000
