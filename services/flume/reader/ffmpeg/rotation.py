"""How a player is to turn the pictures of an item: phones record portrait video lying, and say so beside it.

The container's display matrix (ISO/IEC 14496-12, 8.3.2) is seen on decoded pictures only, so the first one is decoded,
once for each file.
"""

from typing import Any

from av.container import InputContainer
from av.filter import Graph

from flume.reader.ffmpeg.second_look import once_per_file
from flume.reader.messages import Play

TURNING_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Formats of FFmpeg whose files can ask for it."""

FILTERS = {90: ("transpose", "clock"), 180: ("hflip", None), 270: ("transpose", "cclock")}
"""What turns a picture clockwise by so many degrees; a half turn also needs ``vflip``."""


def rotation_of(item: Play, container: InputContainer) -> int:
    """Return by how many degrees clockwise the pictures of *item* are to be turned: 0, 90, 180 or 270."""
    if not item.is_path or container.format.name not in TURNING_FORMATS or not container.streams.video:
        return 0
    return once_per_file(_rotation_of_first_picture, item, default=0)


def _rotation_of_first_picture(container: InputContainer) -> int:
    container.streams.video[0].codec_context.thread_count = 1
    for frame in container.decode(video=0):
        return round(-frame.rotation / 90) * 90 % 360
    return 0


class Turner:
    """Turns pictures.

    Example::

        turned = Turner(90).turn(frame)
    """

    def __init__(self, degrees: int) -> None:
        """Turn by *degrees* clockwise: 90, 180 or 270."""
        self._degrees = degrees
        self._graph: Graph | None = None

    def turn(self, frame: Any) -> Any:
        """Return *frame* turned, with its time."""
        if self._graph is None:
            name, arguments = FILTERS[self._degrees]
            self._graph = graph = Graph()
            steps = [
                graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
            ]
            steps.append(graph.add(name, arguments))
            if self._degrees == 180:
                steps.append(graph.add("vflip"))
            steps.append(graph.add("buffersink"))
            graph.link_nodes(*steps).configure()
        self._graph.push(frame)
        turned = self._graph.pull()
        turned.pts, turned.time_base = frame.pts, frame.time_base
        return turned
