"""What a file is taken for, by the end of its name. Pure.

The suffix only decides what a *folder* plays, and whether a file is a playlist. A file that is named itself is tried
whatever its suffix.
"""

from typing import Literal

Kind = Literal["video", "audio", "picture", "playlist", "foreign_playlist"]

_NAMES: dict[Kind, str] = {
    "video": (
        "264 265 3g2 3gp amv asf avi divx dv evo f4v flv gxf h264 h265 hevc ivf m1v m2t m2ts m2v m4v mjpeg mjpg mk3d "
        "mkv mod mov mp2v mp4 mp4v mpe mpeg mpg mpv mts mxf nsv nut obu ogm ogv ogx qt rec rm rmvb tod tp trp ts vob "
        "vro webm wmv wtv y4m"
    ),
    "audio": (
        "aac ac3 aif aifc aiff alac amr ape au caf dff dsf dts eac3 flac m4a m4b mka mp1 mp2 mp3 mpa mpc oga ogg opus "
        "ra spx tta w64 wav weba wma wv"
    ),
    "picture": "apng avif bmp dib gif heic heif jfif jpe jpeg jpg jxl pbm pgm png pnm ppm tga tif tiff webp",
    "playlist": "m3u m3u8 pls xspf",
    "foreign_playlist": "asx b4s jspf ram smil wax wpl wvx zpl",
}

_KINDS: dict[str, Kind] = {f".{name}": kind for kind, names in _NAMES.items() for name in names.split()}

FOLDER_ORDER: tuple[Kind, ...] = ("video", "audio", "picture")
"""A folder plays its files of the first of these kinds that it has: the cover beside an album is no item of it."""


def suffix_of(name: str) -> str:
    """Return the suffix of *name*, a file name or the path of an address, in small letters; empty if there is none.

    >>> suffix_of("/Clip.MP4"), suffix_of(".mp4"), suffix_of("README")
    ('.mp4', '', '')
    """
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def kind_of(name: str) -> Kind | None:
    """Return what a file called *name* is taken for; ``None`` if its suffix says nothing.

    >>> kind_of("list.M3U8")
    'playlist'
    """
    return _KINDS.get(suffix_of(name))
