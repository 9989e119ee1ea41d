"""What MPEG-TS can carry, and what becomes of the rest: pure decisions about one track."""

from fractions import Fraction
from typing import Literal, NamedTuple

Carriage = Literal["copy", "transcode", "leave_out"]

COPIED_VIDEO = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1"})
"""Video with a stream type of its own (ISO/IEC 13818-1, table 2-34; VC-1 by SMPTE RP 227), that players decode."""

COPIED_AUDIO = frozenset({"aac", "aac_latm", "mp1", "mp2", "mp3", "ac3", "eac3", "dts", "opus"})
"""Audio likewise; Opus by the private mapping that FFmpeg, VLC and GStreamer share."""

COPIED_SUBTITLES = frozenset({"dvb_subtitle", "dvb_teletext"})
"""Subtitles of broadcasts (ETSI EN 300 743, EN 300 472), which lie in MPEG-TS as they are."""

NO_PICTURES = frozenset({"ansi", "bintext", "xbin", "idf"})
"""Text that FFmpeg can draw: a text file is no video."""

FILTERS = {
    # Players of AVI undo packed B-pictures themselves; in MPEG-TS no player does. The headers stand only in AVI's own.
    "mpeg4": "mpeg4_unpack_bframes,dump_extra=freq=keyframe",
    "vc1": "dump_extra=freq=keyframe",
}
"""Bitstream filters that make a codec's packets what MPEG-TS needs. The multiplexer has those of H.264 and H.265."""


ASPECT_FILTERS = {"h264": "h264_metadata", "hevc": "hevc_metadata"}
"""Filters that write the shape of a pixel into the bitstream, for items whose container alone knows it."""


def filters_of(codec: str, *, aspect: Fraction | None) -> str:
    """Return the chain of filters for packets of *codec*; *aspect*: the width of a pixel by its height, to be written.

    >>> filters_of("h264", aspect=Fraction(4, 3))
    'h264_metadata=sample_aspect_ratio=4/3'
    """
    filters = [FILTERS[codec]] if codec in FILTERS else []
    if aspect is not None and codec in ASPECT_FILTERS:
        filters.append(f"{ASPECT_FILTERS[codec]}=sample_aspect_ratio={aspect.numerator}/{aspect.denominator}")
    return ",".join(filters)


class Decision(NamedTuple):
    """*reason* says, for people, why a track is left out."""

    carriage: Carriage
    reason: str = ""


def decide(kind: str, codec: str, *, is_cover: bool = False) -> Decision:
    """Return what becomes of a track of *kind* (FFmpeg's names) with *codec*.

    >>> decide("video", "vp9").carriage
    'transcode'
    >>> decide("subtitle", "subrip").reason
    'MPEG-TS carries no subrip subtitles'
    """
    if is_cover:
        return Decision("leave_out", "a cover picture is no video")
    if codec in COPIED_VIDEO | COPIED_AUDIO | COPIED_SUBTITLES:
        return Decision("copy")
    if kind == "subtitle":
        return Decision("leave_out", f"MPEG-TS carries no {codec} subtitles")
    if kind not in {"video", "audio"}:
        return Decision("leave_out", f"{codec or 'unknown'} data is not carried")
    if codec in NO_PICTURES:
        return Decision("leave_out", f"{codec or 'its codec'} cannot be decoded")
    return Decision("transcode")
