"""Capture files of both kinds: every frame that is there is read, and an end too soon is a problem in one line."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.utils import RawPcapReader

from flume.capture.dissect import Dissector, Segment
from flume.capture.files import CaptureFile, CrossCheck, Record
from flume.errors import CaptureError
from support.captures.pcap import CLIENT, SERVER, START_S, Pcap, rtp
from support.captures.pcapng import PcapNg


def read(path: Path) -> tuple[list[Record], list[str]]:
    with CaptureFile(path) as capture:
        return list(capture.records()), capture.problems


def frames(tmp_path: Path, count: int = 3) -> list[bytes]:
    """Frames as the lab's captures hold them."""
    pcap = Pcap(tmp_path / "frames.pcap")
    for number in range(count):
        pcap.media(rtp(number))
    return [record.frame for record in read(pcap.path)[0]]


@pytest.fixture
def pcapng(tmp_path: Path) -> PcapNg:
    return PcapNg(tmp_path / "tap.pcapng").interface()


def test_a_pcap_file_is_read_as_scapy_reads_it(tmp_path: Path):
    pcap = Pcap(tmp_path / "tap.pcap").media(rtp(1)).frame(b"\0" * 60, wire_bytes=900).media(rtp(2))
    records, problems = read(pcap.path)
    with RawPcapReader(str(pcap.path)) as reader:
        assert [(one.frame, one.wire_bytes) for one in records] == [(frame, meta.wirelen) for frame, meta in reader]
    assert [one.time_s for one in records] == pytest.approx([START_S, START_S + 0.001, START_S + 0.002])
    assert problems == []


@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 10**6), (0xA1B23C4D, 10**9)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_precisions_are_read(tmp_path: Path, order: str, magic: int, unit: int):
    path = tmp_path / "tap.pcap"
    header = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 96, 113)
    path.write_bytes(header + struct.pack(f"{order}IIII", 5, unit // 4, 3, 40) + b"abc")
    assert read(path) == ([Record(5.25, b"abc", 40, 113)], [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_file_holds_the_same_frames(tmp_path: Path, order: str):
    path, wanted = tmp_path / "tap.pcapng", frames(tmp_path)
    pcapng = PcapNg(path, order=order).interface().interface(113, exponent=9)
    pcapng.frame(wanted[0]).frame(wanted[1], interface=1, ticks_per_s=10**9).frame(wanted[2], wire_bytes=9000)
    pcapng.statistics()
    records, problems = read(path)
    assert [(one.frame, one.wire_bytes, one.link_type) for one in records] == [
        (wanted[0], len(wanted[0]), 1),
        (wanted[1], len(wanted[1]), 113),
        (wanted[2], 9000, 1),
    ]
    assert [one.time_s for one in records] == pytest.approx([START_S, START_S + 0.001, START_S + 0.002])
    assert problems == []


def test_frames_without_a_time_are_a_problem(pcapng: PcapNg):
    records, problems = read(pcapng.frame(b"a" * 60).frame_without_time(b"b" * 60).path)
    assert [one.time_s for one in records] == [START_S, START_S]
    assert problems == ["1 packets have no time of their own"]


def test_packets_of_an_interface_that_is_not_described_are_a_problem(pcapng: PcapNg):
    pcapng.frame(b"a" * 60).frame(b"b" * 60, interface=1).frame(b"c" * 61, interface=7).statistics().frame(b"d" * 60)
    records, problems = read(pcapng.path)
    assert [one.frame[:1] for one in records] == [b"a", b"d"]
    assert problems == ["2 packets name an interface that the file does not describe"]


def test_a_second_section_of_the_other_byte_order_is_read(tmp_path: Path):
    first, second = (
        PcapNg(tmp_path / name, order=order).interface().frame(b"a" * 60)
        for name, order in (("little", "<"), ("big", ">"))
    )
    first.path.write_bytes(first.path.read_bytes() + second.path.read_bytes())
    records, problems = read(first.path)
    assert ([one.frame for one in records], problems) == ([b"a" * 60] * 2, [])


@pytest.mark.parametrize("cut", [1, 5, 13, 40])
@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_what_comes_before_the_cut_is_read(tmp_path: Path, kind: str, cut: int):
    pcap, pcapng = Pcap(tmp_path / "tap.pcap"), PcapNg(tmp_path / "tap.pcapng").interface()
    for number in range(3):
        pcap.frame(bytes([number]) * 60)
        pcapng.frame(bytes([number]) * 60)
    path = pcap.path if kind == "pcap" else pcapng.path
    path.write_bytes(path.read_bytes()[:-cut])
    records, problems = read(path)
    assert [one.frame[0] for one in records] == [0, 1]
    assert problems == ["the file is cut off within a packet"]


def test_a_damaged_block_is_named_with_its_place_and_what_lies_behind_it(pcapng: PcapNg):
    pcapng.frame(b"a" * 60)
    at = pcapng.path.stat().st_size
    pcapng.block(6, b"short").frame(b"b" * 60)
    records, problems = read(pcapng.path)
    assert [one.frame[:1] for one in records] == [b"a"]
    behind = pcapng.path.stat().st_size - at
    assert problems == [f"block at byte {at} is damaged: the last {behind} bytes could not be read"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x0a\x0d", b"hello, this is a text, not a capture", b"\xd4\xc3\xb2\xa1" + bytes(9), b"\n\r\r\n" * 9],
    ids=["empty", "short", "text", "pcap that ends in its header", "pcapng without an order"],
)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "none"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="is no capture file") as caught:
        CaptureFile(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CaptureError, match="is no capture file"):
            CaptureFile(path)


def test_a_length_of_gigabytes_takes_no_memory_and_ends_the_file(pcapng: PcapNg, tmp_path: Path):
    pcapng.frame(b"a" * 60)
    with pcapng.path.open("ab") as file:
        file.write(struct.pack("<II", 6, 0xFFFFFFF0) + bytes(40))
    records, problems = read(pcapng.path)
    assert (len(records), problems) == (1, ["the file is cut off within a packet"])
    pcap = Pcap(tmp_path / "long.pcap").frame(b"a" * 60)
    with pcap.path.open("ab") as file:
        file.write(struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0) + bytes(40))
    records, problems = read(pcap.path)
    assert (len(records), problems) == (1, ["the file is cut off within a packet"])


@given(st.binary(max_size=200), st.integers(0, 300), st.sampled_from(["pcap", "pcapng"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_raise_nothing_but_the_error_of_captures(tmp_path: Path, junk: bytes, at: int, kind: str):
    """*junk* overwrites the file from byte *at* on."""
    path = tmp_path / "damaged"
    if kind == "pcap":
        Pcap(path).frame(b"a" * 60).frame(b"b" * 60)
    else:
        PcapNg(path).interface().frame(b"a" * 60).frame(b"b" * 60).statistics()
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        records, problems = read(path)
    except CaptureError:
        return
    assert len(records) <= 20
    assert all("\n" not in problem for problem in problems)


def test_the_decoders_are_compared_on_the_first_frames_and_on_a_sample(tmp_path: Path):
    (frame,) = frames(tmp_path, 1)
    record = Record(0.0, frame, len(frame), 1)
    ours = Dissector(1).packet_untrusted(frame)
    assert isinstance(ours, Segment)
    wrong = ours._replace(data=ours.data[:-1])
    for place, found in ((0, True), (15, True), (16, False), (1998, False), (1999, True)):
        check = CrossCheck()
        for number in range(place):
            check.see(record, ours) if number in {0, 1999} else check.see(record, ours._replace(protocol=1))
        assert check.disagreement is None
        check.see(record, wrong)
        assert (check.disagreement is not None) == found, place
    assert ours.source[0] == SERVER
    assert ours.destination[0] == CLIENT
