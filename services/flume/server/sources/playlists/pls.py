"""PLS: an ini file of ``File1=``, ``Title1=``, as radio stations write it. Pure."""

import re

from flume.server.sources.playlists.collecting import Collector
from flume.server.sources.playlists.text import lines
from flume.server.sources.playlists.values import MAX_ENTRIES, Playlist

_ROW = re.compile(r"[ \t]{0,9}(file|title)([0-9]{0,9})[ \t]{0,9}=(.*)", re.IGNORECASE)


def parse_untrusted(text: str) -> Playlist:
    """Return the playlist in *text*, in the order of its numbers. ``NumberOfEntries`` is often wrong, and not read.

    >>> [entry.location for entry in parse_untrusted("[playlist]\\nFile2=b.mp3\\nfile1=a.mp3").entries]
    ['a.mp3', 'b.mp3']
    """
    files: dict[int, str] = {}
    titles: dict[int, str] = {}
    for line in lines(text):
        row = _ROW.fullmatch(line)
        if row is not None and len(files) <= MAX_ENTRIES:
            (files if row[1].lower() == "file" else titles).setdefault(int(row[2] or 0), row[3])
    found = Collector()
    for number in sorted(files):
        found.add(files[number], title=titles.get(number, ""))
    return found.playlist()
