"""Short records as transport packets, with checksums, which no mutation would find."""

from collections.abc import Iterator

from flume.media import mpegts, psi
from flume.media.mpegts import PACKET_BYTES, SYNC_BYTE
from fuzz.reading import Reading

PIDS = (0, 0x11, 0x100, 0x101, 0x102, 0x1000, 0x1001, 0x1FFF)
MOST = 400


def packets_of(reading: Reading) -> Iterator[bytearray]:
    """Yield one packet for each record: the PID, flags and counter, a repetition, and the packet's beginning."""
    made = 0
    while reading and made < MOST:
        choice, flags, again = reading.byte(), reading.byte(), reading.byte()
        packet = bytearray([SYNC_BYTE, flags & 0xC0, 0, choice >> 4 | (flags & 0x3F) << 4 & 0xF0])
        mpegts.set_pid(packet, PIDS[choice & 7])
        packet += reading.block()
        packet = packet[:PACKET_BYTES].ljust(PACKET_BYTES, b"\xff")
        if choice & 8:
            repair(packet)
        for number in range(1 + again % 20):
            yield packet if number == 0 else _next(packet, number)
            made += 1


def _next(packet: bytearray, number: int) -> bytearray:
    following = bytearray(packet)
    following[3] = packet[3] & 0xF0 | packet[3] + number & 0x0F
    return following


def repair(packet: bytearray) -> None:
    """Give the section that lies whole in *packet* the right checksum; change nothing if there is none."""
    start = mpegts.payload_offset(packet)
    if start >= PACKET_BYTES or not mpegts.starts_unit(packet):
        return
    start += 1 + packet[start]
    if start + 3 > PACKET_BYTES:
        return
    end = start + 3 + ((packet[start + 1] & 0x0F) << 8 | packet[start + 2])
    if end <= PACKET_BYTES and end - 4 >= start + 3:
        packet[end - 4 : end] = psi.crc32(bytes(packet[start : end - 4])).to_bytes(4, "big")
