"""The frames that measure a link: made, and recognised when they arrive. Pure: bytes in, values out."""

import struct
from collections.abc import Sequence

TO_CLIENT = bytes.fromhex("02f1000000ff")
"""An address that no interface has: the client's kernel shows the frame to our packet socket and then drops it before
any counter of IP."""
TO_HOST = bytes.fromhex("0180c2000001")
"""Reserved for pause frames (IEEE 802.1D table 7-10): a bridge never forwards it, so no other client is disturbed."""
FROM = bytes.fromhex("02f100000001")

HEADERS_BYTES = 42
"""Ethernet, IPv4 and UDP."""
MARK = struct.Struct("!HI")
"""Which measurement, and which frame; repeated all over the payload, so that a frame with a damaged bit can still be
recognised and cannot be taken for an intact one."""
MARK_REPEATS = 2
"""In how many places a damaged frame must carry the same mark."""

_IP_A, _IP_B = b"\xc6\x13\xff\xfd", b"\xc6\x13\xff\xfe"
"""198.19.255.253 and .254, in the range for benchmarks (RFC 2544)."""
_PORT = 9
"""discard (RFC 863)."""


def checksum(header: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of a 20-byte IPv4 *header*; 0 for a header that carries its own."""
    total: int = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def make_frame(mark: int, number: int, length: int, *, to_client: bool) -> bytes:
    """Return frame *number* of the measurement *mark*: UDP over IPv4, as the stream's are, *length* bytes in all.

    *length* is at least 54, so that the payload holds two marks.
    """
    source, target = (_IP_A, _IP_B) if to_client else (_IP_B, _IP_A)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length - 14, 0, 0x4000, 64, 17, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    payload = (MARK.pack(mark, number) * (length // MARK.size + 1))[: length - HEADERS_BYTES]
    ethernet = (TO_CLIENT if to_client else TO_HOST) + FROM + b"\x08\x00"
    return ethernet + ip + struct.pack("!HHHH", _PORT, _PORT, length - 34, 0) + payload


def find_number(frame: bytes, mark: int, count: int) -> int | None:
    """Return the number below *count* that *frame* carries :data:`MARK_REPEATS` times beside *mark*, if any."""
    seen: dict[int, int] = {}
    for at in range(HEADERS_BYTES, len(frame) - MARK.size + 1, MARK.size):
        found, number = MARK.unpack_from(frame, at)
        if found == mark and number < count:
            seen[number] = seen.get(number, 0) + 1
            if seen[number] == MARK_REPEATS:
                return int(number)
    return None


def recognise(frame: bytes, sent: Sequence[bytes], mark: int) -> tuple[int, bool] | None:
    """Return which of the frames *sent* arrived as *frame* and whether it is intact; ``None`` for other traffic."""
    if len(frame) >= HEADERS_BYTES + MARK.size:
        number: int = MARK.unpack_from(frame, HEADERS_BYTES)[1]
        if number < len(sent) and frame == sent[number]:
            return number, True
    damaged = find_number(frame, mark, len(sent))
    return None if damaged is None else (damaged, False)
