"""The table of an item: it loses no track at the end, and the first packets get the full one."""

from flume.reader.libvlc.table import ItemTable
from support.media.ts_stream import Builder, section


def packets(*tables: tuple[int, ...], pmt_pid: int = 32) -> bytes:
    """Return a PAT, and a PMT for each of *tables*: rows of H.264 below PID 200 and of AAC from there on."""
    builder = Builder()
    builder.packet(0, b"\0" + section(0, 1, (1).to_bytes(2, "big") + (0xE000 | pmt_pid).to_bytes(2, "big")), start=True)
    for version, pids in enumerate(tables):
        rows = b"".join(
            bytes([0x1B if pid < 200 else 0x0F]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\0" for pid in pids
        )
        body = (0xE000 | pids[0]).to_bytes(2, "big") + b"\xf0\0" + rows
        builder.packet(pmt_pid, b"\0" + section(2, 1, body, version=version), start=True)
        builder.packet(100, b"picture")
    return bytes(builder.data)


def without_counters(data: bytes | bytearray) -> list[bytes]:
    found = [bytearray(data[at : at + 188]) for at in range(0, len(data), 188)]
    for packet in found:
        packet[3] &= 0xF0
    return list(map(bytes, found))


def counters(data: bytes | bytearray, pid: int) -> list[int]:
    return [data[at + 3] & 15 for at in range(0, len(data), 188) if (data[at + 1] & 31) << 8 | data[at + 2] == pid]


def test_a_table_that_lacks_a_track_gives_way_to_the_one_before() -> None:
    data = packets((100, 200), (200,))
    table = ItemTable()
    played = table.feed(data)
    assert len(played) == len(data)
    found = without_counters(played)
    assert found[1] == found[3] != without_counters(data)[3]
    assert counters(played, 32) == counters(data, 32)
    assert table.pids() == (100, 200)
    assert not table.has_grown


def test_pieces_of_any_length_give_the_same() -> None:
    data = packets((100, 200), (200,), (100, 200))
    whole = ItemTable().feed(data)
    table = ItemTable()
    assert b"".join(table.feed(data[at : at + 61]) for at in range(0, len(data), 61)) == whole


def test_a_table_with_another_track_is_the_new_one() -> None:
    data = packets((100, 200), (101, 200))
    table = ItemTable()
    assert table.feed(data) == data
    assert table.pids() == (101, 200)


def test_the_first_packets_get_the_table_that_came_later() -> None:
    data = packets((200,), (100, 200))
    table = ItemTable()
    head = table.feed(data)
    assert head == data
    assert table.has_grown
    completed = table.completed(head)
    found = without_counters(completed)
    assert found[1] == found[3] == without_counters(data)[3]
    assert counters(completed, 32) == counters(data, 32)
    assert (table.pids("video"), table.pids("audio"), table.pids("subtitles")) == ((100,), (200,), ())


def test_bytes_that_look_like_a_table_and_begin_elsewhere_stay() -> None:
    data = bytearray(packets((100, 200), (200,)))
    data[188 * 2 + 20 : 188 * 2 + 24] = bytes([0x47, 0x40, 32, 0x10])
    played = ItemTable().feed(bytes(data))
    assert played[188 * 2 : 188 * 3] == data[188 * 2 : 188 * 3]


def test_before_a_table_there_are_no_tracks() -> None:
    table = ItemTable()
    assert table.pids() == ()
    assert table.completed(table.feed(b"G" + bytes(400))) == b"G" + bytes(375)
