"""Many items become one stream, by a checker that does not use the product's parsers."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flume.media.datagrams import MAX_PENDING_DATAGRAMS, PAYLOAD_BYTES, Datagram
from flume.media.item_start import MAX_HELD_PACKETS
from flume.media.packetizer import Packetizer
from support.media.ts_stream import H264_OTHER, Builder, Check, item

VIDEO, AUDIO = 0x100, 0x110


def cut(packetizer: Packetizer, *items: bytes, piece: int = 5000) -> list[Datagram]:
    datagrams = []
    for data in items:
        packetizer.begin_item()
        for start in range(0, len(data), piece):
            datagrams += packetizer.feed_untrusted(data[start : start + piece])
        datagrams += packetizer.end_item()
    return datagrams


def joined(datagrams: list[Datagram]) -> bytes:
    return b"".join(datagram.payload for datagram in datagrams)


def check_promises(datagrams: list[Datagram]) -> Check:
    """Assert what must hold for every stream; return the checker for further assertions."""
    assert all(len(datagram.payload) == PAYLOAD_BYTES for datagram in datagrams)
    due = [datagram.due_s for datagram in datagrams]
    assert due == sorted(due)
    assert due[0] == 0.0
    check = Check(joined(datagrams))
    pcrs = [pcr for _, pcr in check.pcrs]
    assert pcrs == sorted(pcrs)
    assert len(check.tables[0]) == 1
    for datagram in datagrams:
        if datagram.random_access:
            pids = [int.from_bytes(datagram.payload[at + 1 : at + 3], "big") for at in (0, 188, 376)]
            assert pids[:2] == [0x4000, 0x5000]
            assert pids[2] & 0x4000
    return check


def test_one_item_becomes_datagrams_with_due_times() -> None:
    datagrams = cut(Packetizer(), item(frames=50))
    check = check_promises(datagrams)
    assert check.continuity_errors == 0
    assert set(check.pids) == {0, 0x1000, VIDEO, AUDIO, 0x1FFF}
    assert len(check.pes[VIDEO]) == 50
    assert len(check.pes[AUDIO]) == 100
    assert sum(datagram.random_access for datagram in datagrams) == 2
    assert datagrams[-1].due_s == pytest.approx(2.0, abs=0.05)
    assert max(after.due_s - before.due_s for before, after in itertools.pairwise(datagrams)) < 0.04


def test_three_seams_are_seamless() -> None:
    items = [
        item(frames=50, start=start, first_counter=counter) for start, counter in ((900_000, 0), (7, 5), (2**33, 9))
    ]
    packetizer = Packetizer()
    datagrams = cut(packetizer, *items, items[0])
    check = check_promises(datagrams)
    assert check.continuity_errors == 0
    assert len(check.tables[0x1000]) == 1
    video = [pes.dts for pes in check.pes[VIDEO]]
    assert {after - before for before, after in itertools.pairwise(video)} == {3600}
    assert datagrams[-1].due_s == pytest.approx(8.0, abs=0.1)
    statistics = packetizer.statistics()
    assert (statistics.items, statistics.pcr_jumps, statistics.continuity_gaps, statistics.resyncs) == (4, 0, 0, 0)
    assert statistics.datagrams == len(datagrams)
    assert (statistics.video_codec, statistics.audio_codecs, statistics.video_pid) == ("H.264", ("AAC",), VIDEO)


def test_pids_of_other_multiplexers_are_mapped_to_the_same() -> None:
    check = check_promises(cut(Packetizer(), item(video=100, audio=200), item(video=4113, audio=33)))
    assert set(check.pids) == {0, 0x1000, VIDEO, AUDIO, 0x1FFF}
    assert len(check.tables[0x1000]) == 1
    assert check.continuity_errors == 0


def test_other_streams_make_another_version_of_the_pmt() -> None:
    check = check_promises(cut(Packetizer(), item(), item(audio=None), item()))
    versions = {table[5] >> 1 & 31 for table in check.tables[0x1000]}
    assert versions == {0, 1, 2}
    assert check.continuity_errors == 0


def test_keyframes_are_marked_where_there_is_room() -> None:
    check = Check(joined(cut(Packetizer(), item(frames=50, gop=25))))
    assert [pes.marked for pes in check.pes[VIDEO]] == [number % 25 == 0 for number in range(50)]


def test_audio_alone_can_be_joined_every_second() -> None:
    datagrams = cut(Packetizer(), item(frames=125, video=None))
    check = check_promises(datagrams)
    assert check.continuity_errors == 0
    assert sum(datagram.random_access for datagram in datagrams) == 5


def test_video_without_keyframes_can_be_joined_every_ten_seconds() -> None:
    builder = Builder(audio=None)
    builder.tables()
    for number in range(25 * 25):
        builder.pes(100, H264_OTHER + bytes(200), pts=number * 3600 + 36_000, pcr=number * 3600 * 300)
    datagrams = cut(Packetizer(), bytes(builder.data))
    assert sum(datagram.random_access for datagram in datagrams) == 2


def test_a_pcr_jump_inside_an_item_is_healed_and_counted() -> None:
    packetizer = Packetizer()
    first, second = item(frames=25, audio=None), item(frames=25, audio=None, start=90_000_000, first_counter=0)
    datagrams = cut(packetizer, first + second)
    check_promises(datagrams)
    assert packetizer.statistics().pcr_jumps == 1
    assert datagrams[-1].due_s == pytest.approx(2.0, abs=0.1)


def test_the_sources_losses_show_in_the_output() -> None:
    data = item(frames=50)
    packetizer = Packetizer()
    datagrams = cut(packetizer, data[: 188 * 300] + data[188 * 303 :])
    assert Check(joined(datagrams)).continuity_errors >= 1
    assert packetizer.statistics().continuity_gaps >= 1


@pytest.mark.parametrize("packets", range(1, 4))
def test_audio_that_an_items_end_cuts_off_is_taken_back(packets: int) -> None:
    builder = Builder(first_counter=11)
    builder.pes(200, bytes(600), pts=900_000 + 50 * 3600)  # four packets
    packetizer = Packetizer()
    check = check_promises(cut(packetizer, item() + bytes(builder.data[: 188 * packets]), item(), item()))
    assert len(check.pes[AUDIO]) == 300
    assert packetizer.statistics().cut_pes == 1
    assert check.continuity_errors == 0


def test_audio_that_is_cut_off_before_further_pcrs_is_taken_back_too() -> None:
    builder = Builder(first_counter=6)  # where item() stops counting for the video
    builder.pes(200, bytes(600), pts=900_000 + 50 * 3600)
    head = bytes(builder.data[:188])
    last = item(frames=53)[len(item(frames=50)) :]
    video_only = b"".join(last[at : at + 188] for at in range(0, len(last), 188) if last[at + 2] == 100)
    packetizer = Packetizer()
    check = check_promises(cut(packetizer, item() + head + video_only, item(), piece=188))
    assert packetizer.statistics().cut_pes == 1
    assert len(check.pes[AUDIO]) == 200
    assert check.continuity_errors == 0


def test_a_pes_that_never_ends_delays_nothing_for_long() -> None:
    builder = Builder()
    builder.pes(200, bytes(600), pts=900_000 + 50 * 3600)
    data = item(frames=50) + bytes(builder.data[:188]) + item(frames=150, audio=None, start=900_000 + 50 * 3600)
    packetizer = Packetizer()
    packetizer.begin_item()
    datagrams = packetizer.feed_untrusted(data)
    assert datagrams[-1].due_s > 7.8
    assert packetizer.statistics().cut_pes == 0


def test_a_whole_audio_pes_at_an_items_end_stays() -> None:
    builder = Builder(first_counter=4)
    builder.pes(200, bytes(600), pts=900_000 + 50 * 3600)
    packetizer = Packetizer()
    check = check_promises(cut(packetizer, item() + bytes(builder.data)))
    assert len(check.pes[AUDIO]) == 101
    assert packetizer.statistics().cut_pes == 0


def test_garbage_between_packets_is_skipped() -> None:
    data = item(frames=50)
    packetizer = Packetizer()
    datagrams = cut(packetizer, data[: 188 * 300] + b"garbage" * 50 + data[188 * 300 :])
    assert check_promises(datagrams).continuity_errors == 0
    assert (packetizer.statistics().resyncs, packetizer.statistics().skipped_bytes) == (1, 350)


def test_unreferenced_and_damaged_packets_are_dropped_and_counted() -> None:
    builder = Builder()
    builder.packet(0x1FFF, bytes(184))
    builder.packet(17, bytes(184))
    builder.packet(500, bytes(184))
    damaged = bytearray(item(frames=2)[188 * 2 : 188 * 3])
    damaged[1] |= 0x80
    packetizer = Packetizer()
    check = check_promises(cut(packetizer, bytes(builder.data) + item() + bytes(builder.data) + bytes(damaged)))
    assert (packetizer.statistics().unreferenced_packets, packetizer.statistics().damaged_packets) == (2, 1)
    assert not {17, 500} & set(check.pids)


def test_an_item_without_pcrs_is_paced_by_its_timestamps() -> None:
    builder = Builder()
    builder.tables()
    for number in range(100):
        builder.pes(100, H264_OTHER + bytes(3000), pts=number * 3600)
        builder.pes(200, bytes(300), pts=number * 3600)
    datagrams = cut(Packetizer(), bytes(builder.data))
    assert datagrams[-1].due_s == pytest.approx(4.0, abs=0.3)


def test_a_stream_without_pcrs_and_timestamps_is_sent_within_the_memory_limit() -> None:
    builder = Builder()
    builder.tables()
    for _ in range((MAX_PENDING_DATAGRAMS + 2000) * 7):
        builder.packet(100, bytes(184))
    packetizer = Packetizer()
    packetizer.begin_item()
    datagrams = packetizer.feed_untrusted(bytes(builder.data))
    assert datagrams
    assert packetizer.statistics().unclocked_datagrams > MAX_PENDING_DATAGRAMS - MAX_HELD_PACKETS // 7
    datagrams += packetizer.end_item()
    assert len(datagrams) * 7 >= (MAX_PENDING_DATAGRAMS + 2000) * 7


def test_the_length_of_the_pieces_changes_nothing() -> None:
    data = item(frames=250, frame_bytes=40_000)
    whole, pieces = Packetizer(), Packetizer()
    assert cut(whole, data, piece=len(data)) == cut(pieces, data, piece=1000)
    assert whole.statistics().unclocked_datagrams == 0
    assert whole.statistics().datagrams > MAX_PENDING_DATAGRAMS


def test_an_empty_item_leaves_no_trace() -> None:
    packetizer = Packetizer()
    datagrams = cut(packetizer, b"", item(), b"", item())
    check = check_promises(datagrams)
    assert check.continuity_errors == 0
    assert packetizer.statistics().items == 4


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_never_raise(data: st.DataObject) -> None:
    packetizer = Packetizer()
    clean = item(frames=4, frame_bytes=300)
    for _ in range(data.draw(st.integers(1, 3))):
        packetizer.begin_item()
        for _ in range(data.draw(st.integers(0, 4))):
            piece = bytearray(data.draw(st.sampled_from((clean, clean[188:], b""))))
            for _ in range(data.draw(st.integers(0, 12))):
                if piece:
                    piece[data.draw(st.integers(0, len(piece) - 1))] = data.draw(st.integers(0, 255))
            piece += data.draw(st.binary(max_size=400))
            for datagram in packetizer.feed_untrusted(bytes(piece)):
                assert len(datagram.payload) == PAYLOAD_BYTES
        packetizer.end_item()
    packetizer.statistics()


@given(st.binary(max_size=188 * 8))
def test_arbitrary_packets_after_sync_never_raise(noise: bytes) -> None:
    data = bytearray(noise.ljust(188 * 8, b"\0"))
    for start in range(0, len(data), 188):
        data[start] = 0x47
        data[start + 1 : start + 3] = (0x4000 | (100 if start % 376 else 200)).to_bytes(2, "big")
    packetizer = Packetizer()
    packetizer.begin_item()
    packetizer.feed_untrusted(item(frames=2) + bytes(data) + item(frames=2))
    packetizer.end_item()


@pytest.mark.parametrize("packets", [1, 2, 6])
def test_shorter_datagrams_carry_the_same_stream(packets: int):
    usual, shorter = (cut(Packetizer(packets_per_datagram=number), item(frames=50)) for number in (7, packets))
    assert all(len(datagram.payload) == 188 * packets for datagram in shorter)
    assert sum(datagram.random_access for datagram in shorter) == sum(datagram.random_access for datagram in usual) > 1
    assert [datagram.due_s for datagram in shorter] == sorted(datagram.due_s for datagram in shorter)
    streams = [
        [data for datagram in datagrams for data in packets_of(datagram.payload) if data[1:3] != b"\x1f\xff"]
        for datagrams in (usual, shorter)
    ]
    assert streams[0] == streams[1]


def packets_of(payload: bytes) -> list[bytes]:
    return [payload[at : at + 188] for at in range(0, len(payload), 188)]
