"""Which program and which track of a transport stream goes on as which, after its tables have changed.

A recording may go on with other PIDs: two that were joined, a channel that was rearranged. Its first tables name the
programs and tracks. Those of later tables are the same ones if they are of the same codec, language, PID and place, as
far as possible in this order; the rest are further tracks, on PIDs that no other track has.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from flume.media.mpegts import NULL_PID
from flume.media.psi import ElementaryStream, Program
from flume.reader.ffmpeg.programs import TELETEXT, TsTrack
from flume.reader.messages import TrackKind

CODECS = {
    0x01: "mpeg video",
    0x02: "mpeg video",
    0x03: "mpeg audio",
    0x04: "mpeg audio",
    0x0F: "aac",
    0x10: "mpeg4",
    0x11: "aac_latm",
    0x1B: "h264",
    0x20: "h264 (second view)",
    0x24: "hevc",
    0x33: "vvc",
    0x81: "ac3",
    0x82: "dts",
    0x83: "truehd",
    0x84: "eac3",
    0x85: "dts",
    0x86: "dts",
    0x87: "eac3",
    0x90: "pgs",
    0xEA: "vc1",
}
"""Stream types (ISO/IEC 13818-1, table 2-34; ATSC A/53; Blu-ray) by what FFmpeg makes of them."""

VIDEO = frozenset({"mpeg video", "mpeg4", "h264", "h264 (second view)", "hevc", "vvc", "vc1"})
SUBTITLES = frozenset({TELETEXT, "dvb_subtitle", "pgs"})
AUDIO = frozenset({"mpeg audio", "aac", "aac_latm", "ac3", "dts", "truehd", "eac3", "Opus"})

PRIVATE_TYPES = frozenset({0x05, 0x06})
TAG_REGISTRATION, TAG_LANGUAGE, TAG_TELETEXT, TAG_SUBTITLES = 0x05, 0x0A, 0x56, 0x59
PRIVATE_TAGS = {
    0x6A: "ac3",
    0x7A: "eac3",
    0x7B: "dts",
    0x7C: "aac",
    TAG_TELETEXT: TELETEXT,
    TAG_SUBTITLES: "dvb_subtitle",
}
"""What a private stream is, by its descriptors (ETSI EN 300 468, 6.2 and annex D)."""

REGISTRATIONS = {b"AC-3": "ac3", b"EAC3": "eac3", b"DTS1": "dts", b"DTS2": "dts", b"DTS3": "dts", b"HEVC": "hevc"}

FIRST_FREE_PID = 0x1F00
"""Tracks that can keep no PID of their own get one from here up to the null packets' PID."""

CLOCK = "pcr"
"""Stands for the codec of a PID on which there is a PCR and nothing else."""

MOST_PROGRAMS, MOST_TRACKS = 1024, 256
"""A stream that names more, or a program, is damaged."""


class TsProgram(NamedTuple):
    """A program by its first PMT, and the tracks that later ones added."""

    number: int
    pmt_pid: int
    tracks: list[TsTrack]


def descriptors_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each descriptor in *data* (ISO/IEC 13818-1, 2.6.1).

    >>> list(descriptors_of(bytes([0x0A, 1, 7, 0x56, 0])))
    [(10, b'\\x07'), (86, b'')]
    """
    while len(data) >= 2:
        yield data[0], data[2 : 2 + data[1]]
        data = data[2 + data[1] :]


def track_of(row: ElementaryStream) -> TsTrack:
    """Return what *row* of a PMT announces.

    >>> track_of(ElementaryStream(0x0F, 0x101, b"\\x0a\\x04eng\\0"))
    TsTrack(pid=257, codec='aac', language='eng')
    """
    descriptors = dict(reversed([*descriptors_of(row.descriptors)]))
    codec = CODECS.get(row.stream_type, "" if row.stream_type in PRIVATE_TYPES else f"type {row.stream_type}")
    if row.stream_type in PRIVATE_TYPES:
        registered = descriptors.get(TAG_REGISTRATION, b"")[:4]
        codec = REGISTRATIONS.get(registered, registered.decode("latin-1"))
        codec = next((name for tag, name in PRIVATE_TAGS.items() if tag in descriptors), codec)
    named = (descriptors.get(tag, b"") for tag in (TAG_LANGUAGE, TAG_TELETEXT, TAG_SUBTITLES))
    language = next((each[:3] for each in named if len(each) >= 3), b"")
    return TsTrack(row.pid, codec, language.decode("latin-1").lower().replace("und", ""))


def kind_of(codec: str) -> TrackKind:
    """Return what a track of *codec* is; ``data`` if that is not known."""
    kinds: dict[TrackKind, frozenset[str]] = {"video": VIDEO, "audio": AUDIO, "subtitles": SUBTITLES}
    return next((kind for kind, codecs in kinds.items() if codec in codecs), "data")


SAMENESS: tuple[Callable[[TsTrack], object], ...] = (
    lambda track: track,
    lambda track: (track.codec, track.language),
    lambda track: (track.codec, track.pid),
    lambda track: track.codec,
)
"""What two tracks have in common that are the same, the surest first; of several alike, their place decides."""


def continued(known: Sequence[TsTrack], later: Sequence[TsTrack]) -> dict[int, int]:
    """Return the PID of the *known* track by the PID of each *later* one that is the same.

    >>> continued([TsTrack(256, "h264"), TsTrack(257, "aac")], [TsTrack(257, "h264"), TsTrack(256, "aac")])
    {257: 256, 256: 257}
    """
    found: dict[int, int] = {}
    left, new = list(known), list(later)

    def match(key: Callable[[TsTrack], object], old: Sequence[TsTrack]) -> None:
        rows: dict[object, list[TsTrack]] = {}
        for track in old:
            rows.setdefault(key(track), []).append(track)
        for track in tuple(new):
            if rows.get(key(track)):
                same = rows[key(track)].pop(0)
                found[track.pid] = same.pid
                left.remove(same)
                new.remove(track)

    for key in SAMENESS:
        match(key, [track for track in left if track.codec])
    # A PMT may begin to say, or cease to say, what a track is.
    for track in tuple(new):
        same = next((each for each in left if each.pid == track.pid and not (each.codec and track.codec)), None)
        if same is not None:
            found[track.pid] = same.pid
            left.remove(same)
    return found


class Identities:
    """The programs and tracks of a stream, by its first tables.

    Example::

        identities.follow_pat({1: 0x1000})  # {1: 1}
        pids = identities.follow_pmt(1, pmt, shared={})  # {0x100: 0x100, 0x101: 0x101}
    """

    def __init__(self) -> None:
        """Begin before the first table."""
        self.programs: dict[int, TsProgram] = {}
        """By number, in the order of the first PAT."""
        self._used: set[int] = set()

    def follow_pat(self, pat: Mapping[int, int]) -> dict[int, int]:
        """Return the number of the known program by each number in *pat*, which gives the PIDs of their PMTs.

        If it names none of the programs before, another recording follows, whose programs continue them by their
        place. Otherwise an unknown number is a further program.
        """
        old = [] if set(pat) & set(self.programs) else list(self.programs)
        numbers = dict(zip(pat, old, strict=False))
        for number, pmt_pid in pat.items():
            if number in numbers:
                continue
            if number not in self.programs:
                if len(self.programs) >= MOST_PROGRAMS:
                    continue
                of_tables = {program.pmt_pid for program in self.programs.values()}
                pid = pmt_pid if pmt_pid in of_tables else self._free_pid(pmt_pid)
                self.programs[number] = TsProgram(number, pid, [])
            numbers[number] = number
        return numbers

    def follow_pmt(self, number: int, pmt: Program, *, shared: Mapping[int, int]) -> dict[int, int]:
        """Return the PID of the known track by each PID in *pmt*, which continues the program *number*.

        *shared*: the same of the other programs. Programs may have a track in common.
        """
        tracks = self.programs[number].tracks
        later = [track_of(row) for row in pmt.streams]
        if pmt.pcr_pid != NULL_PID and pmt.pcr_pid not in {track.pid for track in later}:
            later.append(TsTrack(pmt.pcr_pid, CLOCK))
        pids = continued(tracks, later)
        for track in later:
            if track.pid in pids:
                continue
            pid = NULL_PID
            if len(tracks) < MOST_TRACKS:
                pid = shared[track.pid] if track.pid in shared else self._free_pid(track.pid)
            pids[track.pid] = pid
            if pid != NULL_PID:
                tracks.append(track._replace(pid=pid))
        return pids

    def _free_pid(self, pid: int) -> int:
        """Return *pid*, or another one if it is in use."""
        if pid in self._used:
            pid = next((each for each in range(FIRST_FREE_PID, NULL_PID) if each not in self._used), NULL_PID)
        self._used.add(pid)
        return pid
