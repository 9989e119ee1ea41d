"""libvlc itself: loading it, and what python-vlc reads wrongly or never frees.

The reader's only importer of ``vlc``.
"""

import ctypes
from types import ModuleType
from typing import Any

from flume.errors import SourceError
from flume.reader.libvlc.track import VlcTrack


class _VideoDetails(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("height", "width", "sar_num", "sar_den", "rate_num", "rate_den")),
        ("orientation", ctypes.c_int),
    )


class _Track(ctypes.Structure):
    """``libvlc_media_track_t``. python-vlc has three pointers where C has a union of them, and reads all fields behind
    it at a wrong place: ``language`` crashes."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("codec", "original_fourcc")),
        *((name, ctypes.c_int) for name in ("id", "type", "profile", "level")),
        ("details", ctypes.c_void_p),
        ("bit_rate", ctypes.c_uint),
        *((name, ctypes.c_char_p) for name in ("language", "description")),
    )


_Tracks = ctypes.POINTER(ctypes.POINTER(_Track))
_KINDS = {0: "audio", 1: "video", 2: "text"}
_ROTATIONS = {3: 180, 5: 270, 6: 90}
"""By ``libvlc_video_orient_t``: what the pictures need. Measured: 6 is a phone's portrait video, to be turned
clockwise, although libvlc's header calls it "rotated 90 degrees anti-clockwise"."""


class Library:
    """python-vlc's module, with the tracks of a media read and freed properly.

    Raises :class:`~flume.errors.SourceError` where libvlc cannot be used.
    """

    def __init__(self) -> None:
        """Load libvlc."""
        self.vlc: Any = _load_vlc()
        get = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.POINTER(_Tracks))
        release = ctypes.CFUNCTYPE(None, _Tracks, ctypes.c_uint)
        self._get_tracks = get(("libvlc_media_tracks_get", self.vlc.dll))
        self._release_tracks = release(("libvlc_media_tracks_release", self.vlc.dll))

    def tracks(self, media: Any) -> tuple[VlcTrack, ...]:
        """Return copies of the tracks that *media* has announced so far. *media* must not have been released."""
        pointer = _Tracks()
        count = self._get_tracks(media._as_parameter_, ctypes.byref(pointer))
        try:
            return tuple(_copy(pointer[index].contents) for index in range(count))
        finally:
            self._release_tracks(pointer, count)


def _copy(track: Any) -> VlcTrack:
    language = (track.language or b"").decode("utf-8", "replace")
    rate, rotation = None, 0
    kind = _KINDS.get(track.type, "unknown")
    if kind == "video" and track.details:
        details = ctypes.cast(track.details, ctypes.POINTER(_VideoDetails)).contents
        rate = details.rate_num / details.rate_den if details.rate_num and details.rate_den else None
        rotation = _ROTATIONS.get(details.orientation, 0)
    code = track.codec.to_bytes(4, "little").decode("latin-1")
    return VlcTrack(kind, code, track.id, "" if language == "und" else language, rate, rotation)


def _load_vlc() -> ModuleType:
    """Import python-vlc. Where libvlc is missing it raises NotImplementedError, AttributeError or OSError."""
    try:
        import vlc  # noqa: PLC0415 - a reader that plays by FFmpeg alone needs no libvlc
    except (ImportError, NotImplementedError, OSError, AttributeError) as error:
        raise SourceError(
            "libvlc is not usable here: install it (Debian: apt-get install libvlc5 vlc-plugin-base libvlc-bin) "
            f"and python-vlc (pip install 'flumelab[server]'); seen: {error or type(error).__name__}"
        ) from error
    module: ModuleType = vlc
    return module
