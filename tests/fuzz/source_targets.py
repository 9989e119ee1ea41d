"""Playlists, and what a file says about the programs in it."""

from flume.errors import SourceError
from flume.reader.libvlc.programs import programs_untrusted, titles
from flume.server.sources.playlists.formats import parse_untrusted
from flume.server.sources.playlists.options import APPLIED
from flume.server.sources.playlists.spellings import spellings
from flume.server.sources.playlists.values import MAX_ENTRIES
from fuzz.packets import packets_of
from fuzz.reading import Reading

SUFFIXES = ("", ".m3u", ".pls", ".xspf")


def playlist(data: bytes) -> None:
    """A playlist, of any format and encoding: entries with a place, safe options, spellings that are paths."""
    reading = Reading(data)
    suffix, text = SUFFIXES[reading.byte() % len(SUFFIXES)], reading.rest()
    try:
        found = parse_untrusted(text, suffix=suffix)
    except SourceError:
        return
    assert len(found.entries) <= MAX_ENTRIES + 1
    for entry in found.entries[:20]:
        assert entry.location.strip()
        assert all(option.partition("=")[0] in APPLIED and "\n" not in option for option in entry.options)
        assert not any("\0" in path for path in spellings(entry).paths)
    assert all(name.isascii() for name in (*found.ignored, *found.refused))


def programs(data: bytes) -> None:
    """The first bytes of a file that libvlc is to play, as they are or as packets whose tables are intact."""
    reading = Reading(data)
    choice = reading.byte()
    head = reading.rest() if choice & 1 else b"".join(bytes(packet) for packet in packets_of(reading))
    found = programs_untrusted(head)
    assert all(0 < number < 1 << 16 for number in found)
    assert len(titles(found)) == len(found)
