"""Join points that are found in datagrams are those that the packetizer marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media.datagrams import Datagram
from flume.media.entries import EntryFinder
from flume.media.packetizer import Packetizer
from support.media.synthetic import TsWriter


def datagrams(*, frames: int = 200, gop_frames: int = 25, packets: int = 7) -> list[Datagram]:
    writer, packetizer = TsWriter(gop_frames=gop_frames), Packetizer(packets_per_datagram=packets)
    packetizer.begin_item()
    found = [one for _ in range(frames) for one in packetizer.feed_untrusted(writer.frame())]
    return found + packetizer.end_item()


@pytest.mark.parametrize("packets", [4, 7])
def test_the_join_points_of_the_packetizer_are_found_and_no_others(packets: int):
    finder, made = EntryFinder(), datagrams(packets=packets)
    found = [finder.look_untrusted(one.payload) in {"entry", "entry_new_tables"} for one in made]
    marked = [one.random_access for one in made]
    assert sum(marked) == 8
    assert found == marked


def test_tables_that_are_repeated_before_another_picture_are_no_join_point():
    made = datagrams(frames=400, gop_frames=400)
    with_tables = [one for one in made if one.payload[:3] == b"\x47\x40\x00"]
    assert sum(not one.random_access for one in with_tables) > 2, "some begin with tables by chance"
    finder = EntryFinder()
    assert [finder.look_untrusted(one.payload) for one in with_tables] == [
        "entry" if one.random_access else "none" for one in with_tables
    ]


def test_other_tables_are_noticed_once():
    first, second = datagrams(frames=1)[0].payload, bytearray(datagrams(frames=1)[0].payload)
    section = bytes(second[5:17])
    from flume.media.psi import build_pat

    other = build_pat(program_number=2, pmt_pid=(section[10] & 0x1F) << 8 | section[11], version=1)
    second[5 : 5 + len(other)] = other
    finder = EntryFinder()
    assert finder.look_untrusted(first) == "entry"
    assert finder.look_untrusted(bytes(second)) == "entry_new_tables"
    assert finder.look_untrusted(bytes(second)) == "entry"
    finder.forget()
    assert finder.look_untrusted(first) == "entry", "the first tables of another stream are no change"


@given(st.binary(max_size=1316), st.integers(0, 1316))
def test_nothing_raises(data: bytes, cut: int):
    whole = datagrams(frames=1)[0].payload
    EntryFinder().look_untrusted(data)
    EntryFinder().look_untrusted(whole[:cut] + data)
