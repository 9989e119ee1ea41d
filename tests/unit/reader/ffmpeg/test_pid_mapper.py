"""A transport stream keeps the PIDs of its first tables, wherever and in whatever pieces it is read."""

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media import psi
from flume.media.mpegts import NULL_PID, PACKET_BYTES, pid_of
from flume.media.psi import ElementaryStream, Program
from flume.reader.ffmpeg import files
from flume.reader.ffmpeg.files import MappedFile, as_pyav_reads
from flume.reader.ffmpeg.pid_mapper import PidMapper
from support.media.surgery import packets, renumbered

VIDEO, AUDIO, ENGLISH, TABLE = 0x100, 0x101, 0x102, 0x1000
ROWS = (
    ElementaryStream(0x1B, VIDEO, b""),
    ElementaryStream(0x0F, AUDIO, b"\x0a\x04deu\0"),
    ElementaryStream(0x0F, ENGLISH, b"\x0a\x04eng\0"),
)
LONG = bytes([0x80, 250]) + bytes(250)


def pat(**programs: int) -> bytes:
    body = b"".join(
        int(name[1:]).to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for name, pid in programs.items()
    )
    head = bytes([0, 0xB0, len(body) + 9, 0, 1, 0xC1, 0, 0]) + body
    return head + psi.crc32(head).to_bytes(4, "big")


def tables(rows=ROWS, *, number: int = 1, pid: int = TABLE, descriptors: bytes = b"") -> bytes:
    pmt = psi.build_pmt(Program(rows[0].pid, descriptors, tuple(rows)), program_number=number, version=0)
    return b"".join(psi.packets_of_section(pat(**{f"n{number}": pid}), 0) + psi.packets_of_section(pmt, pid))


def frames(pids, count: int, seed: int = 0) -> bytes:
    numbers = random.Random(seed)
    rows = []
    for _ in range(count):
        pid = numbers.choice(pids)
        head = bytes([0x47, numbers.choice((0, 0x40, 0x20)) | pid >> 8, pid & 0xFF, 0x10 | numbers.randrange(16)])
        rows.append(head + numbers.randbytes(PACKET_BYTES - 4))
    return b"".join(rows)


def recording(seed: int = 0, *, repeats: int = 2, count: int = 40, rows=ROWS, descriptors: bytes = b"") -> bytes:
    """Return tables and packets, some times over."""
    pids = [row.pid for row in rows]
    return b"".join(
        tables(rows, descriptors=descriptors) + frames(pids, count, seed * 100 + each) for each in range(repeats)
    )


def mapped(data: bytes) -> bytes:
    window = bytearray(data)
    PidMapper().feed(window, begin=0, place=0, is_end=True)
    return bytes(window)


def pids_of(data: bytes) -> set[int]:
    return {pid_of(packet) for packet in packets(data)}


PIDS = st.lists(st.integers(0x20, 0x1FFE), min_size=4, max_size=4, unique=True)


@given(st.lists(st.tuples(PIDS, st.integers(1, 0xFFFF)), min_size=1, max_size=4))
def test_whatever_pids_and_numbers_follow_the_first_ones_are_seen(parts):
    data, wanted = recording(), recording()
    for seed, (pids, number) in enumerate(parts):
        plain = recording(seed)
        wanted += plain
        data += renumbered(plain, dict(zip((VIDEO, AUDIO, ENGLISH, TABLE), pids, strict=True)), {1: number})
    assert mapped(data) == wanted


def test_a_stream_whose_tables_stay_is_not_changed():
    data = b"".join(recording(seed) for seed in range(3)) + frames((0x300, 0x11, 0x12), 50)
    assert mapped(data) == data


SWAPPED = {VIDEO: AUDIO, AUDIO: ENGLISH, ENGLISH: VIDEO}


def spaced(data: bytes, stride: int) -> bytes:
    before = 4 if stride == 192 else 0
    return b"".join(bytes(before) + each + bytes(stride - PACKET_BYTES - before) for each in packets(data))


def three_recordings(stride: int) -> tuple[bytes, bytes]:
    """Return recordings, the second of three has other PIDs, and what they are to become. A PMT has two packets."""
    moved = tables([row._replace(pid=SWAPPED[row.pid]) for row in ROWS], pid=0x200, descriptors=LONG)
    plain = tables(descriptors=LONG)
    media = [frames((VIDEO, AUDIO, ENGLISH), 20, seed) for seed in range(15)]
    wanted = b"".join(plain + each for each in media)
    data = b"".join(
        moved + renumbered(each, SWAPPED, {}) if 5 <= at < 10 else plain + each for at, each in enumerate(media)
    )
    return spaced(data, stride), spaced(wanted, stride)


@pytest.fixture(params=[188, 192, 204])
def film(request, tmp_path: Path, monkeypatch) -> Iterator[tuple[MappedFile, bytes, int]]:
    monkeypatch.setattr(files, "IO_BYTES", 7001)
    monkeypatch.setattr(files, "SEARCHED_BYTES", (2000, 5000, 20_000))
    data, wanted = three_recordings(request.param)
    path = tmp_path / "film.ts"
    path.write_bytes(data)
    os.utime(path, (0, 0))
    with io.FileIO(path) as opened:
        file = as_pyav_reads(opened, str(path))
        assert isinstance(file, MappedFile)
        yield file, wanted, request.param


@pytest.mark.parametrize("seed", range(8))
def test_a_file_is_the_same_in_any_pieces(film: tuple[MappedFile, bytes, int], seed: int) -> None:
    file, wanted, _ = film
    numbers, got = random.Random(seed), bytearray()
    while piece := file.read(numbers.randint(1, 10 ** numbers.randint(1, 5))):
        got += piece
        assert file.tell() == len(got)
    assert got == wanted
    assert file.moves == 2


def test_a_file_is_the_same_from_any_place(film: tuple[MappedFile, bytes, int]) -> None:
    file, wanted, stride = film
    numbers = random.Random(1)
    for _ in range(60):
        place = numbers.randrange(len(wanted) // stride) * stride
        assert file.seek(place) == place
        piece = file.read(3000)
        assert media_of(piece, stride) == media_of(wanted[place : place + len(piece)], stride)
    assert file.seek(-stride, io.SEEK_END) == len(wanted) - stride
    assert file.read(1000) == wanted[-stride:]


def media_of(data: bytes, stride: int) -> list[bytes]:
    """Return the packets that are no part of a table: of a table that began before, FFmpeg does not see the begin."""
    at = 4 if stride == 192 else 0
    rows = [data[each + at : each + at + PACKET_BYTES] for each in range(0, len(data), stride)]
    return [row for row in rows if len(row) == PACKET_BYTES and pid_of(row) in {VIDEO, AUDIO, ENGLISH, NULL_PID}]


def test_tables_that_come_seldom_hold_until_the_next_ones(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "IO_BYTES", 4000)
    monkeypatch.setattr(files, "SEARCHED_BYTES", (1000, 2000))
    plain = recording(repeats=1, count=200)
    path = tmp_path / "film.ts"
    path.write_bytes(plain + renumbered(plain, SWAPPED, {}))
    os.utime(path, (0, 0))
    with io.FileIO(path) as opened:
        file = as_pyav_reads(opened, str(path))
        for place in (len(plain) + 100 * PACKET_BYTES, 100 * PACKET_BYTES):
            file.seek(place)
            assert file.read(1880) == plain[place % len(plain) :][:1880]


@pytest.mark.parametrize("tail", [0, 1, 100, 187, 5000, 70_000])
def test_the_end_may_be_read_again_and_again_and_the_file_may_grow(tmp_path: Path, monkeypatch, tail: int) -> None:
    monkeypatch.setattr(files, "IO_BYTES", 7001)
    path = tmp_path / "film.ts"
    begin, more = recording() + random.Random(tail).randbytes(tail), recording(1)
    path.write_bytes(begin)
    os.utime(path, (0, 0))
    with io.FileIO(path) as opened:
        file = as_pyav_reads(opened, str(path))
        got = b"".join(iter(lambda: file.read(3000), b""))
        assert got == begin
        assert [file.read(3000) for _ in range(3)] == [b""] * 3
        with path.open("ab") as writer:
            writer.write(renumbered(more, SWAPPED, {}))
        os.utime(path, (0, 0))
        assert b"".join(iter(lambda: file.read(3000), b"")) == more


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_has_every_byte_at_its_place(tmp_path: Path, monkeypatch, seed: int) -> None:
    numbers = random.Random(seed)
    monkeypatch.setattr(files, "IO_BYTES", numbers.randint(1000, 9000))
    monkeypatch.setattr(files, "SEARCHED_BYTES", (2000, 9000))
    data = b""
    for number in range(6):
        part = recording(number)
        part = renumbered(part, SWAPPED, {1: numbers.randint(1, 9)}) if number % 2 else part
        data += part[numbers.randint(0, 400) :] + numbers.randbytes(numbers.choice((0, 50, 3000)))
    path = tmp_path / "film.ts"
    path.write_bytes(recording() + data)
    os.utime(path, (0, 0))
    size = path.stat().st_size
    with io.FileIO(path) as opened:
        file = as_pyav_reads(opened, str(path))
        for _ in range(200):
            place = numbers.choice((file.tell(), numbers.randint(0, size + 100)))
            wanted = numbers.randint(1, 20_000)
            assert file.seek(place) == place
            piece = file.read(wanted)
            assert len(piece) <= wanted
            assert bool(piece) == (place < size)
            original = path.read_bytes()[place : place + len(piece)]
            changed = sum(a != b for a, b in zip(piece, original, strict=True))
            assert changed < 60 + len(piece) / 20, "PIDs and tables alone"


def test_tracks_that_no_table_announces_any_more_are_not_mixed_with_those_that_go_on():
    data = recording() + renumbered(recording(1), {VIDEO: 0x200}, {}) + frames((VIDEO,), 10)
    assert pids_of(mapped(data)[-10 * PACKET_BYTES :]) == {NULL_PID}


def test_a_track_more_and_a_track_of_another_codec_get_pids_of_their_own():
    rows = (ROWS[0], ElementaryStream(0x81, AUDIO, b""), *(row._replace(pid=row.pid + 8) for row in ROWS[1:]), ROWS[1])
    rows = (*rows[:4], ElementaryStream(0x0F, ENGLISH, b"\x0a\x04fra\0"))
    mapper = PidMapper()
    window = bytearray(recording() + recording(1, rows=rows))
    mapper.feed(window, begin=0, place=0)
    (program,) = mapper.programs
    known = {track.pid: (track.codec, track.language) for track in program.tracks}
    assert list(known.items())[:3] == [(VIDEO, ("h264", "")), (AUDIO, ("aac", "deu")), (ENGLISH, ("aac", "eng"))]
    assert sorted(each for pid, each in known.items() if pid > ENGLISH) == [("aac", "fra"), ("ac3", "")]
    assert pids_of(bytes(window)[-40 * PACKET_BYTES :]) == set(known)


def test_two_programs_may_swap_all_their_pids():
    both = pat(n1=TABLE, n2=TABLE + 1)
    one, two = ROWS[:2], tuple(row._replace(pid=row.pid + 0x10) for row in ROWS[:2])
    swapped = {0x100: 0x110, 0x101: 0x111, 0x110: 0x100, 0x111: 0x101, TABLE: TABLE + 1, TABLE + 1: TABLE}
    head = psi.packets_of_section(both, 0)
    for number, rows in enumerate((one, two)):
        pmt = psi.build_pmt(Program(rows[0].pid, b"", rows), program_number=number + 1, version=0)
        head += psi.packets_of_section(pmt, TABLE + number)
    data = b"".join(head) + frames((0x100, 0x101, 0x110, 0x111), 40)
    assert mapped(data + renumbered(data, swapped, {})) == data * 2
    assert mapped(data + renumbered(data, swapped, {1: 8, 2: 9})) == data * 2


def test_programs_that_join_others_do_not_take_their_places():
    first = tables() + frames((VIDEO,), 5)
    row = ROWS[0]._replace(pid=0x300)
    pmt = psi.packets_of_section(psi.build_pmt(Program(0x300, b"", (row,)), program_number=2, version=0), TABLE + 1)
    more = b"".join(psi.packets_of_section(pat(n1=TABLE, n2=TABLE + 1), 0) + pmt) + frames((VIDEO, 0x300), 20)
    assert mapped(first + more) == first + more


def test_a_pat_of_several_sections_is_one():
    def part(number: int, section: int) -> bytes:
        head = pat(**{f"n{number}": TABLE + number})[:-4]
        head = head[:6] + bytes([section, 1]) + head[8:]
        return psi.packets_of_section(head + psi.crc32(head).to_bytes(4, "big"), 0)[0]

    data = (part(1, 0) + part(2, 1)) * 2
    data += b"".join(
        psi.packets_of_section(
            psi.build_pmt(Program(pid, b"", (ROWS[0]._replace(pid=pid),)), program_number=n, version=0), t
        )[0]
        for n, pid, t in ((1, 0x200, TABLE + 1), (2, 0x300, TABLE + 2))
    )
    mapper = PidMapper()
    mapper.feed(bytearray(data), begin=0, place=0)
    assert [(each.number, set(each.pids)) for each in mapper.programs] == [(1, {0x200}), (2, {0x300})]


def test_recordings_may_be_cut_off_anywhere():
    first, second = recording(), recording(1)
    moved = renumbered(second, SWAPPED, {})
    for cut in (1, 50, 187, 188, 300):
        got = mapped(first[:-cut] + b"x" * 70 + moved)
        assert got[-len(second) :] == second


@given(st.binary(max_size=4000), st.integers(0, 3000))
def test_damage_is_never_an_error_and_changes_no_length(junk, at):
    data = bytearray(recording() + renumbered(recording(1), SWAPPED, {}))
    data[at : at + len(junk)] = junk
    assert len(mapped(bytes(data))) == len(data)


@given(
    st.lists(
        st.tuples(st.integers(0, 0x1FFF), st.sampled_from([0x1B, 0x06, 0x0F, 0x81]), st.binary(max_size=8)), max_size=9
    )
)
def test_any_tables_are_followed(rows):
    streams = tuple(ElementaryStream(kind, pid, descriptors) for pid, kind, descriptors in rows)
    data = recording() + tables((*streams, ROWS[0])) + frames((VIDEO, 0x200), 20) + recording(1)
    assert len(mapped(data)) == len(data)
