"""The options of libvlc by which it shows a stream that comes over UDP, in a window or without one. Pure."""

from typing import NamedTuple

MEDIA_OPTIONS = (
    # Without this, one lost datagram discards all up to the next unit (measured: 1 % loss leaves 7 % of the frames).
    ":no-ts-cc-check",
    # Late data (after a pause): take a new PCR as the clock. At 0 and above libvlc empties its buffers as well.
    ":clock-jitter=-1",
)

INSTANCE_OPTIONS = ("--quiet", "--no-osd", "--no-spu", "--no-video-title-show", "--no-snapshot-preview", "--no-stats")
HEADLESS_OPTIONS = (*INSTANCE_OPTIONS, "--no-audio", "--no-drop-late-frames", "--no-skip-frames")
"""Without a screen, late frames are shown at once: skipping them after some milliseconds of a busy CPU gains nothing.
Five clients on two busy cores (load 6) missed the last 2 of 420 frames each; with skipping, 4 to 9."""

WINDOW_OPTIONS = tuple(option for option in INSTANCE_OPTIONS if option != "--no-stats")
"""In a window frames are counted by libvlc's statistics."""

DRAWN_BY_CPU = "--vout=xcb_x11"
DECODED_BY_CPU = ":avcodec-hw=none"
"""Without a graphics card libvlc chooses OpenGL in software: 145 % of a core under Xvfb, and 70 of 225 frames not shown
in time. With these options it takes a fifth of a core and shows all in time."""


class VlcOptions(NamedTuple):
    """Options of the instance of libvlc, and of the media that it plays."""

    instance: tuple[str, ...]
    media: tuple[str, ...]


def headless_options(*, network_caching_ms: int, decoder_threads: int | None) -> VlcOptions:
    """Return the options without a window.

    *decoder_threads* ``None``: one, which holds no frames back and leaves the CPUs of a lab to its other clients.
    """
    return VlcOptions(HEADLESS_OPTIONS, _media(network_caching_ms, 1 if decoder_threads is None else decoder_threads))


def window_options(
    *, title: str, network_caching_ms: int, decoder_threads: int | None, has_audio: bool, has_graphics_card: bool
) -> VlcOptions:
    """Return the options in a window with *title*; *decoder_threads* ``None``: libvlc's choice."""
    instance, media = [*WINDOW_OPTIONS, f"--video-title={title}"], [*_media(network_caching_ms, decoder_threads or 0)]
    if not has_audio:
        instance.append("--no-audio")
    if not has_graphics_card:
        instance.append(DRAWN_BY_CPU)
        media.append(DECODED_BY_CPU)
    return VlcOptions(tuple(instance), tuple(media))


def _media(network_caching_ms: int, threads: int) -> tuple[str, ...]:
    return *MEDIA_OPTIONS, f":network-caching={network_caching_ms}", f":avcodec-threads={threads}"
