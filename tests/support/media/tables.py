"""Reads tables of a transport stream without the product's parsers."""

from collections.abc import Collection


def languages_of(tables: Collection[bytes]) -> tuple[str, ...]:
    """Return the languages that the first of *tables* (whole PMT sections) gives its audio tracks, "" for none.

    ISO/IEC 13818-1, 2.6.18: the descriptor 0x0A.
    """
    found = []
    for table in sorted(tables)[:1]:
        at = 12 + (int.from_bytes(table[10:12], "big") & 0xFFF)
        while at + 5 <= len(table) - 4:
            kind, length = table[at], int.from_bytes(table[at + 3 : at + 5], "big") & 0xFFF
            descriptors = table[at + 5 : at + 5 + length]
            at += 5 + length
            tags = dict(_descriptors(descriptors))
            if kind in {0x03, 0x04, 0x0F, 0x11, 0x81, 0x87} or (kind == 0x06 and {0x6A, 0x7A, 0x7F} & set(tags)):
                found.append(tags.get(0x0A, b"")[:3].decode("latin-1"))
    return tuple(found)


def _descriptors(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 2 <= len(data):
        found.append((data[at], data[at + 2 : at + 2 + data[at + 1]]))
        at += 2 + data[at + 1]
    return found
