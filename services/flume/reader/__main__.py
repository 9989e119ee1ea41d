"""``python -m flume.reader``: plays the items that the server sends, one after another; see the messages."""

import queue
import sys
from importlib import import_module

from flume.errors import SourceError
from flume.parent_link import DATA, MESSAGE, ParentLink
from flume.reader.engine import Engine, UnplayableError
from flume.reader.messages import EngineName, Failed, Opened, Play, Promise, decode_command, encode
from flume.secret import hide_secrets


class LinkSink:
    """A :class:`~flume.reader.engine.Sink` that leads to the server."""

    def __init__(self, link: ParentLink) -> None:
        """Send to the server at the other end of *link*."""
        self._link = link

    def open(self, promise: Promise) -> None:
        """Tell the server that the item plays."""
        self._link.send(MESSAGE, encode(Opened(promise=promise)))

    def write(self, data: bytes) -> None:
        """Send bytes; waits while the server does not read."""
        self._link.send(DATA, data)


class MissingEngineError(Exception):
    """The library of an engine is not installed, or does not start. The text is for people."""


class Engines:
    """The engines by name, each loaded when the first item needs it: an import of FFmpeg takes 0.1 s."""

    def __init__(self) -> None:
        """Load none."""
        self._loaded: dict[EngineName, Engine] = {}

    def get(self, name: EngineName) -> Engine:
        """Return the engine *name*; raises :class:`MissingEngineError` where its library is missing."""
        if name not in self._loaded:
            package, class_name = {
                "ffmpeg": ("flume.reader.ffmpeg.engine", "FfmpegEngine"),
                "vlc": ("flume.reader.libvlc.engine", "VlcEngine"),
            }[name]
            try:
                self._loaded[name] = getattr(import_module(package), class_name)()
            except (ImportError, SourceError) as error:
                raise MissingEngineError(f"{name} is not usable here: {error}") from error
        return self._loaded[name]


def main() -> None:
    """Play until the server has gone."""
    link = ParentLink(sys.argv, name="flume-reader")
    orders: queue.SimpleQueue[Play] = queue.SimpleQueue()
    link.start(lambda data: orders.put(decode_command(data)))
    engines, sink = Engines(), LinkSink(link)
    while True:
        item = orders.get()
        try:
            link.send(MESSAGE, encode(engines.get(item.engine).play(item, sink)))
        except UnplayableError as error:
            link.send(MESSAGE, encode(_failed(item, str(error), unreadable=error.unreadable)))
        except MissingEngineError as error:
            link.send(MESSAGE, encode(_failed(item, str(error), missing=True)))
        except MemoryError:
            link.send(MESSAGE, encode(_failed(item, f"{item.name} needs more memory than the reader may take")))
        except Exception as error:
            link.send(MESSAGE, encode(_failed(item, f"the reader failed: {error!r}")))


def _failed(item: Play, reason: str, *, unreadable: bool = False, missing: bool = False) -> Failed:
    """Return what is reported, without the secrets of the item's address: engines quote it in their errors."""
    location = "" if item.is_path else item.location.decode(errors="replace")
    return Failed(reason=hide_secrets(reason, location), unreadable=unreadable, missing=missing)


if __name__ == "__main__":
    main()
