"""Files of pictures: a still plays as long as one likes, an animation as long as it says."""

import re
from typing import Any

from av.container import InputContainer

from flume.reader.ffmpeg.second_look import once_per_file
from flume.reader.messages import Play

FORMATS = re.compile(r"image2|.+_pipe|gif|apng|webp.*")
"""FFmpeg's formats of pictures."""

BRANDS = frozenset({"avif", "avis", "mif1", "heic", "heix", "msf1"})
"""Brands of pictures in the container of MP4 (ISO/IEC 23008-12; AVIF)."""


def is_picture(container: InputContainer) -> bool:
    """Whether *container* is a file of pictures, of one or of an animation."""
    return FORMATS.fullmatch(container.format.name) is not None or container.metadata.get("major_brand") in BRANDS


def is_still(container: InputContainer) -> bool:
    """Whether *container* is a file of one picture."""
    if not is_picture(container) or container.format.name == "apng":  # one of PNG's is a still
        return False
    if container.format.name == "gif":
        return all(stream.frames == 1 for stream in container.streams)
    return FORMATS.fullmatch(container.format.name) is not None or container.duration is None


def animation_s(item: Play, container: InputContainer) -> float | None:
    """Return how long the animation *item* plays where its header does not say; ``None``: it is none."""
    if container.format.name != "apng" or not item.is_path:
        return None
    return once_per_file(_sum_of_durations, item, default=None)


def _sum_of_durations(container: InputContainer) -> float | None:
    packets: list[Any] = [packet for packet in container.demux(video=0) if packet.size]
    seconds = float(sum((packet.duration or 0) * packet.time_base for packet in packets))
    return seconds if len(packets) > 1 else None
