"""What FFmpeg says only of packets and pictures, not of an opened file: a file is opened again for it, once."""

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import av
from av.container import InputContainer

from flume.reader.ffmpeg.opening import opened
from flume.reader.messages import Play

REMEMBERED = 4096
"""Of so many files the result is kept: a film that is repeated is not opened twice in each round."""

T = TypeVar("T")

_known: OrderedDict[tuple[object, ...], object] = OrderedDict()


def once_per_file(look: Callable[[InputContainer], T], item: Play, *, default: T) -> T:
    """Return what *look* finds in the file of *item*, or found before; *default* if it cannot be read."""
    try:
        status = os.stat(item.location)  # noqa: PTH116 - a path in bytes need not be UTF-8
    except OSError:
        return default
    key = (look.__qualname__, item.location, status.st_ino, status.st_mtime_ns, status.st_size)
    if key in _known:
        _known.move_to_end(key)
        return _known[key]  # type: ignore[return-value]  # the key names the function
    found = default
    with contextlib.suppress(av.error.FFmpegError), opened(item) as source:
        found = look(source.container)
    _known[key] = found
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return found
