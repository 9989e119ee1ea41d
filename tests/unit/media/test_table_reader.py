"""Reading the tables of an item: which program is kept, and which sections are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media.table_reader import TableReader
from support.media.ts_stream import Builder


class Tables:
    """A reader, and the builder whose tables it reads."""

    def __init__(self) -> None:
        self.builder, self.reader = Builder(), TableReader()

    def pat(self, *programs: tuple[int, int], damaged: bool = False) -> bool:
        self.builder.data.clear()
        self.builder.pat(*programs)
        return self.reader.read_pat_untrusted(self._packet(damaged=damaged))

    def pmt(self, *, program_number: int = 1, damaged: bool = False) -> bool:
        self.builder.data.clear()
        self.builder.pmt(program_number=program_number)
        return self.reader.read_pmt_untrusted(self._packet(damaged=damaged))

    def _packet(self, *, damaged: bool) -> bytearray:
        packet = bytearray(self.builder.data)
        packet[-1] ^= damaged
        return packet

    def pids(self) -> list[int]:
        program = self.reader.program
        assert program is not None
        return [stream.pid for stream in program.streams]


@pytest.fixture
def tables() -> Tables:
    return Tables()


def test_the_pat_gives_the_pmts_pid_and_the_pmt_the_program(tables: Tables) -> None:
    assert tables.reader.pmt_pid is None
    assert tables.pat()
    assert tables.reader.pmt_pid == 66
    assert tables.reader.program is None
    assert tables.pmt()
    assert tables.pids() == [100, 200]
    assert tables.reader.program is not None
    assert tables.reader.program.pcr_pid == 100


def test_a_repetition_is_complete_and_nothing_new(tables: Tables) -> None:
    tables.pat()
    tables.pmt()
    before = tables.reader.program
    assert not tables.pat()
    assert tables.pmt()
    assert tables.reader.program is before


def test_another_pmt_is_another_program(tables: Tables) -> None:
    tables.pat()
    tables.pmt()
    before = tables.reader.program
    tables.builder.audio, tables.builder.version = None, 1
    assert tables.pmt()
    assert tables.reader.program is not before
    assert tables.pids() == [100]


def test_a_pmt_on_another_pid_is_awaited_there(tables: Tables) -> None:
    tables.pat()
    tables.pmt()
    tables.builder.pmt_pid = 67
    assert tables.pat()
    assert tables.reader.pmt_pid == 67
    assert tables.pids() == [100, 200], "until the new table has come"


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_programs_one_is_kept_whatever_their_order(tables: Tables, order: int) -> None:
    tables.pat((1, 66), (2, 67), (3, 66))
    assert not tables.pat(*[(1, 66), (2, 67), (3, 66)][::order])
    tables.builder.video = 900
    assert not tables.pmt(program_number=3), "another program's, on the same PID"
    assert tables.reader.program is None
    assert tables.pmt(program_number=1)
    assert tables.pids() == [900, 200]


def test_when_the_program_is_gone_the_next_one_is_taken(tables: Tables) -> None:
    tables.pat((1, 66), (2, 67))
    assert tables.pat((2, 67))
    assert tables.reader.pmt_pid == 67


def test_a_pat_without_any_usable_program_changes_nothing(tables: Tables) -> None:
    tables.pat()
    assert not tables.pat((1, 0x1FFF), (2, 0))
    assert tables.reader.pmt_pid == 66


def test_damage_is_counted_and_not_believed(tables: Tables) -> None:
    assert not tables.pat(damaged=True)
    assert tables.reader.pmt_pid is None
    tables.pat()
    assert not tables.pmt(damaged=True)
    assert tables.reader.program is None
    assert tables.reader.damaged == 2
    tables.reader.begin_item()
    assert (tables.reader.damaged, tables.reader.pmt_pid) == (2, None)


@given(st.lists(st.binary(min_size=188, max_size=188), max_size=6))
def test_arbitrary_packets_never_raise(packets: list[bytes]) -> None:
    reader = TableReader()
    for packet in packets:
        reader.read_pat_untrusted(bytearray(packet))
        reader.read_pmt_untrusted(bytearray(packet))
