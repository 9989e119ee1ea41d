"""Where a decoder can begin: finds keyframes in the first bytes of a video PES, by codec.

libvlc's multiplexer never sets random_access_indicator (measured), so the elementary stream has to be read. libvlc puts
parameter sets before each keyframe, so they are in the PES's first transport packet. Where there are none,
:mod:`flume.media.parameter_sets` has those that came before.
"""

from collections.abc import Callable, Iterator, Mapping

from flume.media.mpegts import PCR_HZ, is_random_access

SPACING_TICKS = PCR_HZ
"""Audio can be joined at any PES, and some video at any picture. One join point a second is enough: each costs a PAT, a
PMT and null packets."""

UNREADABLE_VIDEO_TICKS = 10 * PCR_HZ
"""After 10 s without a keyframe (intra refresh, or an unusual codec) clients may join at any frame."""

VIDEO_CODECS: Mapping[int, str] = {
    0x01: "MPEG-1",
    0x02: "MPEG-2",
    0x10: "MPEG-4 Visual",
    0x1B: "H.264",
    0x24: "H.265",
    0x33: "H.266",
    0xEA: "VC-1",
}
"""Video by stream type (ISO/IEC 13818-1, table 2-34; VC-1 by SMPTE RP 227)."""

AUDIO_CODECS: Mapping[int, str] = {
    0x03: "MPEG-1 audio",
    0x04: "MPEG-2 audio",
    0x0F: "AAC",
    0x11: "AAC (LATM)",
    0x81: "AC-3",
    0x82: "DTS",
    0x87: "E-AC-3",
}
"""Audio by stream type; 0x81 and up are the user-private values of ATSC A/53, which libvlc writes too."""


_SEI, _RECOVERY_POINT = 6, 6
"""H.264: the NAL unit of supplemental information, and the payload type that says a decoder may begin here."""


def begins_recovery(stream_type: int, data: bytes | bytearray) -> bool:
    """Return whether *data*, as of :func:`begins_keyframe`, begins a recovery point of H.264 (annex D.1.8).

    A decoder that begins there shows the whole picture some frames later. Encoders with intra refresh have no other
    place.

    >>> begins_recovery(0x1B, b"\\0\\0\\1\\x06\\x06\\x01\\xc4")
    True
    """
    if stream_type != 0x1B:
        return False
    position = data.find(b"\0\0\1")
    while 0 <= position < len(data) - 4:
        if data[position + 3] & 0x1F == _SEI and data[position + 4] == _RECOVERY_POINT:
            return True
        position = data.find(b"\0\0\1", position + 3)
    return False


def _units(data: bytes | bytearray) -> Iterator[int]:
    """Yield the byte after each start code 00 00 01."""
    position = data.find(b"\0\0\1")
    while 0 <= position < len(data) - 3:
        yield data[position + 3]
        position = data.find(b"\0\0\1", position + 3)


def _h264(unit: int) -> bool:
    return unit & 0x1F in {5, 7}  # IDR slice, sequence parameter set


def _h265(unit: int) -> bool:
    kind = unit >> 1 & 0x3F
    return 16 <= kind <= 21 or kind in {32, 33}  # IRAP pictures (BLA, IDR, CRA); VPS, SPS


def _mpeg12(unit: int) -> bool:
    return unit == 0xB3  # sequence_header_code


def _mpeg4(unit: int) -> bool:
    return unit == 0xB0 or 0x20 <= unit <= 0x2F  # visual object sequence, video object layer


def _vc1(unit: int) -> bool:
    return unit == 0x0F  # sequence header


_TESTS: Mapping[int, Callable[[int], bool]] = {
    0x01: _mpeg12,
    0x02: _mpeg12,
    0x10: _mpeg4,
    0x1B: _h264,
    0x24: _h265,
    0xEA: _vc1,
}


def can_recognize(stream_type: int) -> bool:
    """Return whether :func:`begins_keyframe` knows the codec of *stream_type*."""
    return stream_type in _TESTS


def begins_keyframe(stream_type: int, data: bytes | bytearray) -> bool:
    """Return whether *data*, the first bytes of a video PES's payload, begins a frame that decodes on its own.

    >>> begins_keyframe(0x1B, b"\\0\\0\\1\\x65")  # H.264, IDR slice
    True
    """
    test = _TESTS.get(stream_type)
    return test is not None and any(test(unit) for unit in _units(data))


def could_begin_untrusted(packet: bytearray, start: int, stream_type: int) -> bool:
    """Return whether a decoder can begin at *packet*, whose PES has its payload at *start*. Never raises.

    ``True`` for every codec that :func:`can_recognize` does not know.
    """
    return not can_recognize(stream_type) or is_random_access(packet) or begins_keyframe(stream_type, packet[start:])


class RandomAccessFinder:
    """Decides at which PES a client may join. Times are ticks of 27 MHz on the timeline."""

    def __init__(self) -> None:
        """Begin before the first random access point."""
        self.found = 0
        self._last: int | None = None

    def begin_item(self) -> None:
        """Forget when the last random access point was: the next item is another stream."""
        self._last = None

    def accept_untrusted(
        self, packet: bytearray, start: int, stream_type: int, now: int, *, is_open: bool = False
    ) -> bool:
        """Accept *packet* as a random access point, or not; return whether. Never raises.

        The PES that begins in *packet* has its payload at *start*. A keyframe is always accepted. Without keyframes
        the time *now* since the last accepted one decides. *is_open*: *packet* shows no picture yet. x264 begins a film
        with 700 bytes about itself; the first access unit of an item is then taken for a keyframe.
        """
        if is_open and self._last is None:
            return self._record(now)
        if is_random_access(packet) or begins_keyframe(stream_type, packet[start:]):
            return self._record(now)
        is_spaced = self._last is None or now - self._last >= SPACING_TICKS
        if is_spaced and begins_recovery(stream_type, packet[start:]):
            return self._record(now)
        # Audio, and video without visible keyframes: any PES will do after a while, or no client could ever join.
        patience = UNREADABLE_VIDEO_TICKS if can_recognize(stream_type) else SPACING_TICKS
        if self._last is None:
            if can_recognize(stream_type):
                self._last = now
                return False
            return self._record(now)
        return now - self._last >= patience and self._record(now)

    def _record(self, now: int) -> bool:
        self._last = now
        self.found += 1
        return True
