"""Plays a part of an item: begins at a keyframe, and ends where the decoding order passes the end."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import av
from av.container import InputContainer

from flume.reader.excerpt import Excerpt

SLACK_S = 2.0
"""How far the packets of two tracks may be apart in a file: so long the other tracks are read on beyond the end."""

LEAD_S = 12.0
"""Formats of transmission have no index of keyframes. So much before the start is read: the default of x264 is a
keyframe in 10 s."""

TS_DISCONT = 0x0200
"""AVFMT_TS_DISCONT of libavformat: a format of transmission, whose clock may jump."""

_log = logging.getLogger(__name__)


def is_transmission(container: InputContainer) -> bool:
    """Return whether *container* is of a format of transmission: MPEG-TS, MPEG-PS."""
    return bool(container.format.flags & TS_DISCONT)


def begin(container: InputContainer, excerpt: Excerpt, name: str) -> None:
    """Go to the last keyframe at or before the start of *excerpt*, or, where none is known, a little further."""
    if not excerpt.start_s:
        return
    start_s = max(0.0, excerpt.start_s - LEAD_S) if is_transmission(container) else excerpt.start_s
    try:
        container.seek(round(start_s * av.time_base) + (container.start_time or 0))
    except (av.error.FFmpegError, OSError) as error:
        _log.warning("%s plays from its beginning, not from %g s: seeking failed (%s)", name, excerpt.start_s, error)


def within(packets: Iterable[Any], container: InputContainer, excerpt: Excerpt) -> Iterator[Any]:
    """Yield the *packets* of *container* from the start of *excerpt* to before its end.

    By DTS, so that each picture that is shown has those that it refers to.
    """
    if excerpt.start_s and is_transmission(container):
        packets = from_keyframe(packets, excerpt.start_s, origin_s=_origin_s(container))
    if excerpt.stop_s is None:
        yield from packets
        return
    origin_s = _origin_s(container)
    for packet in packets:
        at_s = 0.0 if packet.dts is None else _seconds(packet, packet.dts) - origin_s
        if at_s < excerpt.stop_s:
            yield packet
        elif at_s >= excerpt.stop_s + SLACK_S:
            return


def from_keyframe(packets: Iterable[Any], start_s: float, *, origin_s: float = 0.0) -> Iterator[Any]:
    """Yield *packets* from the last keyframe at or before *start_s* on; *origin_s*: the time of the item's beginning.

    Without pictures from *start_s* on. Each track begins there, wherever its packets lie in the file.
    """
    packets = iter(packets)
    held: list[Any] = []
    begins_s = start_s
    for packet in packets:
        held.append(packet)
        if packet.dts is None:
            continue
        at_s = _seconds(packet, packet.dts) - origin_s
        if packet.stream.type == "video" and packet.is_keyframe:
            shown_s = at_s if packet.pts is None else _seconds(packet, packet.pts) - origin_s
            if shown_s > start_s:
                break
            begins_s = at_s
            held = [each for each in held if each.dts is None or _seconds(each, each.dts) - origin_s >= at_s]
        elif at_s > start_s + SLACK_S:
            break
    begun: set[int] = set()
    for packet in itertools.chain(held, packets):
        if packet.dts is not None and _seconds(packet, packet.dts) - origin_s >= begins_s:
            begun.add(packet.stream.index)
        if packet.stream.index in begun:
            yield packet


def _origin_s(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _seconds(packet: Any, ticks: int) -> float:
    return float(ticks * packet.time_base)
