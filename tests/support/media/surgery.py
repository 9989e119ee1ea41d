"""What ffmpeg does not write: transport streams as receivers, recorders and faults leave them. Steps of recipes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from support.media.ts_stream import crc32_mpeg

PACKET = 188
WRAP = 1 << 33


def packets(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data) - PACKET + 1, PACKET):
        yield data[at : at + PACKET]


def pid_of(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def join(folder: Path, target: str, *names: str) -> None:
    """Write the files *names* one after the other into *target*, as ``cat`` does."""
    (folder / target).write_bytes(b"".join((folder / name).read_bytes() for name in names))


def part(folder: Path, source: str, target: str, begin: float, end: float) -> None:
    """Write the packets of *source* between the fractions *begin* and *end* of its length."""
    data = (folder / source).read_bytes()
    count = len(data) // PACKET
    (folder / target).write_bytes(data[int(count * begin) * PACKET : int(count * end) * PACKET])


def longer_packets(folder: Path, source: str, target: str) -> None:
    """Write packets of 204 bytes, with room for Reed-Solomon codes, as demodulators do."""
    data = (folder / source).read_bytes()
    (folder / target).write_bytes(b"".join(packet + bytes(16) for packet in packets(data)))


Span = tuple[float, float]
"""From which fraction of a file's packets to which."""

WHOLE: Span = (0.0, 1.0)


def without_pid(folder: Path, source: str, target: str, pid: int, span: Span = WHOLE) -> None:
    """Leave out the packets of *pid* between two fractions of the length; the tables still announce it."""
    kept = list(packets((folder / source).read_bytes()))
    first, last = (int(len(kept) * fraction) for fraction in span)
    chosen = (packet for at, packet in enumerate(kept) if pid_of(packet) != pid or not first <= at < last)
    (folder / target).write_bytes(b"".join(chosen))


def late_table(folder: Path, source: str, target: str, pid: int, fraction: float) -> None:
    """Leave out the table with *pid* before *fraction* of the length: it comes late."""
    without_pid(folder, source, target, pid, (0.0, fraction))


def shift_clock(  # noqa: PLR0917 - a step of a recipe has positional arguments only
    folder: Path, source: str, target: str, seconds: float, span: Span = WHOLE, pid: int | None = None
) -> None:
    """Add *seconds* to PCR, PTS and DTS inside *span*, of *pid* or of all PIDs."""
    ticks = round(seconds * 90_000)
    kept = list(packets((folder / source).read_bytes()))
    first, last = (int(len(kept) * fraction) for fraction in span)
    out = bytearray()
    for at, packet in enumerate(kept):
        if first <= at < last and pid in {None, pid_of(packet)}:
            out += _shifted(packet, ticks)
        else:
            out += packet
    (folder / target).write_bytes(out)


def _shifted(packet: bytes, ticks: int) -> bytes:
    data = bytearray(packet)
    payload = 4
    if data[3] & 0x20:
        payload = 5 + data[4]
        if data[4] and data[5] & 0x10:
            bits = int.from_bytes(data[6:12], "big")
            data[6:12] = (((bits >> 15) + ticks) % WRAP << 15 | bits & 0x7FFF).to_bytes(6, "big")
    if data[1] & 0x40 and data[payload : payload + 3] == b"\0\0\1" and data[payload + 3] >= 0xBD:
        flags = data[payload + 7]
        for bit, at in ((0x80, payload + 9), (0x40, payload + 14)):
            if flags & bit:
                data[at : at + 5] = _stamp(_value(bytes(data[at : at + 5])) + ticks, data[at] >> 4)
    return bytes(data)


def _value(data: bytes) -> int:
    bits = int.from_bytes(data, "big")
    return (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF


def _stamp(value: int, prefix: int) -> bytes:
    value %= WRAP
    return bytes(
        (prefix << 4 | value >> 29 & 0xE | 1, value >> 22 & 255, value >> 14 & 0xFE | 1, value >> 7 & 255)
    ) + bytes((value << 1 & 0xFE | 1,))


def without_pcr(folder: Path, source: str, target: str, every: int) -> None:
    """Keep one PCR in *every* as a stored file with rare references has them; the others become stuffing."""
    out, seen = bytearray(), 0
    for packet in packets((folder / source).read_bytes()):
        data = bytearray(packet)
        if data[3] & 0x20 and data[4] and data[5] & 0x10:
            seen += 1
            if seen % every != 1:
                data[5] &= ~0x10 & 255
                data[6:12] = b"\xff" * 6
        out += data
    (folder / target).write_bytes(out)


def other_pids(
    folder: Path, source: str, target: str, pids: dict[int, int], numbers: dict[int, int] | None = None
) -> None:
    """Move streams and PMTs to other PIDs, and give programs other *numbers*, in all tables (of one packet) too."""
    (folder / target).write_bytes(renumbered((folder / source).read_bytes(), pids, numbers or {}))


def renumbered(data: bytes, pids: dict[int, int], numbers: dict[int, int]) -> bytes:
    """Return the packets *data* as :func:`other_pids` does."""
    out, pmts = bytearray(), set[int]()
    for packet in packets(data):
        pid = pid_of(packet)
        if pid == 0:
            changed = edit_table(packet, lambda body: _rows_of_pat(body, pids, numbers, pmts))
        elif pid in pmts:
            changed = edit_table(packet, lambda body: _rows_of_pmt(body, pids), numbers)
        else:
            changed = packet
        made = bytearray(changed)
        made[1:3] = (int.from_bytes(made[1:3], "big") & 0xE000 | pids.get(pid, pid)).to_bytes(2, "big")
        out += made
    return bytes(out)


def _rows_of_pat(body: bytes, pids: dict[int, int], numbers: dict[int, int], pmts: set[int]) -> bytes:
    out = b""
    for at in range(0, len(body), 4):
        number = int.from_bytes(body[at : at + 2], "big")
        pmts.add(int.from_bytes(body[at + 2 : at + 4], "big") & 0x1FFF)
        out += numbers.get(number, number).to_bytes(2, "big") + _pid(body[at + 2 : at + 4], pids)
    return out


def _rows_of_pmt(body: bytes, pids: dict[int, int]) -> bytes:
    at = 4 + (int.from_bytes(body[2:4], "big") & 0xFFF)
    out = _pid(body[:2], pids) + body[2:at]
    while at < len(body):
        end = at + 5 + (int.from_bytes(body[at + 3 : at + 5], "big") & 0xFFF)
        out += body[at : at + 1] + _pid(body[at + 1 : at + 3], pids) + body[at + 3 : end]
        at = end
    return out


def _pid(field: bytes, pids: dict[int, int]) -> bytes:
    value = int.from_bytes(field, "big")
    return (value & 0xE000 | pids.get(value & 0x1FFF, value & 0x1FFF)).to_bytes(2, "big")


def arrival_times(folder: Path, source: str, target: str) -> None:
    """Write packets of 192 bytes, each after its time of arrival, as Blu-ray and camcorders do (M2TS)."""
    data = (folder / source).read_bytes()
    (folder / target).write_bytes(
        b"".join((at * 2000).to_bytes(4, "big") + packet for at, packet in enumerate(packets(data)))
    )


def stuffed(folder: Path, source: str, target: str, null_packets: int) -> None:
    """Put *null_packets* behind each packet: a transmission of constant rate with much room."""
    null = bytes([0x47, 0x1F, 0xFF, 0x10]).ljust(PACKET, b"\xff") * null_packets
    (folder / target).write_bytes(b"".join(packet + null for packet in packets((folder / source).read_bytes())))


def edit_table(
    packet: bytes, change: Callable[[bytes], bytes], numbers: Mapping[int, int] = MappingProxyType({})
) -> bytes:
    """Return *packet*, which holds one section as ffmpeg writes it, with the section's body changed and a new CRC.

    *numbers*: other numbers for the program that the section is about.
    """
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    start += 1 + packet[start]
    length = int.from_bytes(packet[start + 1 : start + 3], "big") & 0xFFF
    body = change(packet[start + 8 : start + 3 + length - 4])
    head = bytearray(packet[start : start + 8])
    number = int.from_bytes(head[3:5], "big")
    head[3:5] = numbers.get(number, number).to_bytes(2, "big")
    head[1:3] = (0xB000 | len(body) + 9).to_bytes(2, "big")
    whole = bytes(head) + body
    whole += crc32_mpeg(whole).to_bytes(4, "big")
    return (packet[:start] + whole).ljust(PACKET, b"\xff")


def announce(folder: Path, source: str, target: str, rows: bytes) -> None:
    """Append *rows* (type, PID, descriptors) to the PMT of PID 0x1000."""
    out = bytearray()
    for packet in packets((folder / source).read_bytes()):
        out += edit_table(packet, lambda body: body + rows) if pid_of(packet) == 0x1000 else packet
    (folder / target).write_bytes(out)


PRIVATE_PID = 0x120
TELETEXT = b"\x56\x05deu\x10\x88", b"\x10" + (bytes([0x03, 44, 0xE7, 0xE4]) + bytes(range(42))) * 2
"""The descriptor of teletext subtitles, page 888 (EN 300 468), and a PES of two lines (EN 300 472)."""

DVB_SUBTITLES = (
    b"\x59\x08deu\x10\0\1\0\1",
    b"\x20\0" + b"\x0f\x10\0\1\0\2\x05\x08" + b"\x0f\x80\0\1\0\0" + b"\xff",
)
"""The descriptor of DVB subtitles, and a PES of an empty page (EN 300 743): its composition, and its end."""


def add_private(folder: Path, source: str, target: str, descriptor: bytes, content: bytes) -> None:
    """Add a private stream: a PES of *content* twice a second, with the time of the picture before which it stands."""
    row = b"\x06" + (0xE000 | PRIVATE_PID).to_bytes(2, "big") + (0xF000 | len(descriptor)).to_bytes(2, "big")
    announce(folder, source, target, row + descriptor)
    out, counter, last = bytearray(), 0, -1 << 40
    for packet in packets((folder / target).read_bytes()):
        if pid_of(packet) == 0x100 and packet[1] & 0x40:
            at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
            stamp = _value(packet[at + 9 : at + 14])
            if stamp - last > 45_000:
                last = stamp
                out += _private_packet(stamp, content, counter)
                counter = (counter + 1) % 16
        out += packet
    (folder / target).write_bytes(out)


def _private_packet(stamp: int, content: bytes, counter: int) -> bytes:
    pes = bytes([0x84, 0x80, 36]) + _stamp(stamp, 2) + b"\xff" * 31 + content
    pes = b"\0\0\1\xbd" + len(pes).to_bytes(2, "big") + pes
    room = 184 - len(pes)
    field = bytes([room - 1, 0]) + b"\xff" * (room - 2)
    return bytes([0x47, 0x40 | PRIVATE_PID >> 8, PRIVATE_PID & 255, 0x30 | counter]) + field + pes


def truncate(folder: Path, source: str, target: str, fraction: float) -> None:
    """Write the first *fraction* of *source*: a download that stopped."""
    data = (folder / source).read_bytes()
    (folder / target).write_bytes(data[: int(len(data) * fraction)])


def damage(folder: Path, source: str, target: str, begin: float, end: float) -> None:
    """Overwrite what is between two fractions of *source* with zeros: bad sectors."""
    data = bytearray((folder / source).read_bytes())
    first, last = int(len(data) * begin), int(len(data) * end)
    data[first:last] = bytes(last - first)
    (folder / target).write_bytes(data)


def first_units_only(folder: Path, source: str, target: str, kinds: tuple[int, ...], shift: int = 0) -> None:
    """Keep only the first NAL unit of each of *kinds* in an Annex B file. *shift*: 0 for H.264, 1 for HEVC."""
    data = (folder / source).read_bytes()
    units = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    out, seen = bytearray(), set()
    for unit in units:
        kind = unit[0] >> shift & (63 if shift else 31)
        if kind in kinds:
            if kind in seen:
                continue
            seen.add(kind)
        out += b"\0\0\0\1" + unit
    (folder / target).write_bytes(out)


def first_sequence_header_only(folder: Path, source: str, target: str) -> None:
    """Keep only the first sequence header (with its extension) of an MPEG-2 elementary stream."""
    pieces = (folder / source).read_bytes().split(b"\0\0\1")
    out, seen, dropping = bytearray(pieces[0]), False, False
    for piece in pieces[1:]:
        code = piece[0]
        if code == 0xB3:
            dropping, seen = seen, True
        elif code not in {0xB5, 0xB2}:
            dropping = False
        if not dropping:
            out += b"\0\0\1" + piece
    (folder / target).write_bytes(out)


def rename(folder: Path, source: str, target: bytes) -> None:
    """Give *source* the name *target*, which need not be UTF-8."""
    (folder / source).rename(folder.joinpath(target.decode("utf-8", "surrogateescape")))


def link(folder: Path, name: str, to: str) -> None:
    (folder / name).symlink_to(to)


def copies(folder: Path, source: str, sub: str, *names: str) -> None:
    """Write *source* under each of *names* into the folder *sub*."""
    (folder / sub).mkdir(exist_ok=True)
    for name in names:
        (folder / sub / name).write_bytes((folder / source).read_bytes())


def empty_program(folder: Path, source: str, target: str) -> None:
    """Announce a program in the PAT that has no PMT, before the one that plays."""
    out = bytearray()
    row = (1000).to_bytes(2, "big") + (0xE000 | 0x1ABC).to_bytes(2, "big")
    for packet in packets((folder / source).read_bytes()):
        out += edit_table(packet, lambda body: row + body) if pid_of(packet) == 0 else packet
    (folder / target).write_bytes(out)
