"""Plays a part of an item: begins at a keyframe, and ends where the decoding order passes the end."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import av
from av.container import InputContainer

from flume.reader.excerpt import Excerpt

SLACK_S = 2.0
"""How far the packets of two tracks may be apart in a file: so long the other tracks are read on beyond the end."""

_log = logging.getLogger(__name__)


def begin(container: InputContainer, excerpt: Excerpt, name: str) -> None:
    """Go to the last keyframe at or before the start of *excerpt*."""
    if not excerpt.start_s:
        return
    try:
        container.seek(round(excerpt.start_s * av.time_base) + (container.start_time or 0))
    except (av.error.FFmpegError, OSError) as error:
        _log.warning("%s plays from its beginning, not from %g s: seeking failed (%s)", name, excerpt.start_s, error)


def within(packets: Iterable[Any], container: InputContainer, excerpt: Excerpt) -> Iterator[Any]:
    """Yield the *packets* of *container* before the end of *excerpt*.

    By DTS, so that each picture that is shown has those that it refers to.
    """
    if excerpt.stop_s is None:
        yield from packets
        return
    origin_s = (container.start_time or 0) / av.time_base
    for packet in packets:
        at_s = 0.0 if packet.dts is None else float(packet.dts * packet.time_base) - origin_s
        if at_s < excerpt.stop_s:
            yield packet
        elif at_s >= excerpt.stop_s + SLACK_S:
            return
