"""Writes capture files of pcapng, block by block."""

import struct
from pathlib import Path
from typing import Self

START_S = 1_700_000_000.0


class PcapNg:
    """A capture that a test writes. *order* is that of its bytes, ``<`` or ``>``."""

    def __init__(self, path: Path, *, order: str = "<") -> None:
        self.path, self._order = path, order
        self.now_s = START_S
        path.write_bytes(b"")
        self.block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))

    def block(self, kind: int, body: bytes) -> Self:
        body = body.ljust(len(body) + -len(body) % 4, b"\0")
        length = struct.pack(f"{self._order}I", 12 + len(body))
        with self.path.open("ab") as file:
            file.write(struct.pack(f"{self._order}I", kind) + length + body + length)
        return self

    def interface(self, link_type: int = 1, *, exponent: int | None = None) -> Self:
        """Describe an interface whose clock counts 10 to the minus *exponent* seconds; None: microseconds."""
        options = b"" if exponent is None else struct.pack(f"{self._order}HHB3xI", 9, 1, exponent, 0)
        return self.block(1, struct.pack(f"{self._order}HHI", link_type, 0, 262_144) + options)

    def frame(
        self, frame: bytes, *, interface: int = 0, wire_bytes: int | None = None, ticks_per_s: int = 10**6
    ) -> Self:
        ticks = round(self.now_s * 1000) * (ticks_per_s // 1000)
        head = (interface, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), wire_bytes or len(frame))
        self.now_s += 0.001
        return self.block(6, struct.pack(f"{self._order}5I", *head) + frame)

    def frame_without_time(self, frame: bytes) -> Self:
        return self.block(3, struct.pack(f"{self._order}I", len(frame)) + frame)

    def statistics(self) -> Self:
        """The block that dumpcap ends a capture with."""
        return self.block(5, struct.pack(f"{self._order}III", 0, 0, 0))
