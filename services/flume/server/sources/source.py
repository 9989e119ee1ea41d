"""What a server can stream: anything that yields MPEG-TS as a sequence of events. Read this to write a source.

The ingest thread calls :meth:`Source.read` again and again. A source answers with one event at a time::

    ItemStarted, TsBytes, TsBytes, ..., ItemEnded, ItemStarted, TsBytes, ..., SourceEnded

**Items.** An item is what one multiplexer wrote: a file, or the output of a camera from start to stop. Timestamps,
continuity counters and PIDs may be anything at the start of an item; the packetizer makes one endless stream of all
items. Inside an item they continue. What a source does wrong is repaired where possible, and counted in ``status``
under ``source_counts``.

**Bytes.** MPEG-TS with PAT, PMT and PCR, in pieces of any length: pieces need not begin or end with a packet. Clients
join at keyframes; one without parameter sets gets those that came before. At most the first program of the PAT is
streamed.

**Pace.** The PCR says when each byte is due, and the server sends it then; a source need not pace its bytes. There are
two kinds:

- A file source (:attr:`Source.live` is ``False``) waits while it is not read. The ingest reads 1 s ahead and then stops
  calling, so reading faster than real time is right.
- A live source continues whether it is read or not. The ingest reads it all the time while clients receive. While none
  do, it calls :meth:`Source.stop`; the next :meth:`Source.read` starts the source again with an :class:`ItemStarted`.

**Errors.** An item that cannot be played is an :class:`ItemFailed`, and the next one follows. If nothing more can be
played, the source returns :class:`SourceEnded` with *failed*. An exception from :meth:`Source.read` ends the stream,
and the server with it.

**Threads.** :meth:`Source.read` and :meth:`Source.stop` are called from one thread, :meth:`Source.close` from any. A
:meth:`Source.read` that waits returns ``None`` after *timeout_s*, and soon after :meth:`Source.close`.

Example::

    class TsFile:
        '''One .ts file, over and over.'''

        live = False

        def __init__(self, path):
            self.name = path.name
            self._path, self._data = path, None

        def read(self, *, timeout_s):
            if self._data is None:
                self._data = io.BytesIO(self._path.read_bytes())
                return ItemStarted(self.name)
            piece = self._data.read(65536)
            if piece:
                return TsBytes(piece)
            self._data = None
            return ItemEnded(self.name)

        def stop(self):
            self._data = None

        def close(self):
            pass  # read() never waits, and no file stays open

    server = Server(TsFile(path), ServerSettings())

:mod:`flume.server.sources.item_source` is the source that ``flume serve`` uses.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from flume.reader.messages import Ended, Promise


class ItemStarted(NamedTuple):
    """The bytes that follow belong to the item *name*, which has a multiplexer and a clock of its own.

    *promise* is what the item promises, for a source that knows: what goes out is compared with it. *counts* is what to
    count in ``status`` beside it.
    """

    name: str
    promise: Promise | None = None
    counts: Mapping[str, int] = MappingProxyType({})


class TsBytes(NamedTuple):
    """The next piece of the present item's MPEG-TS, of at least one byte."""

    data: bytes


class ItemEnded(NamedTuple):
    """The item has played to its end. Comes only after its :class:`ItemStarted`.

    *ended* is what the source counted in it, for a source that knows.
    """

    name: str
    ended: Ended | None = None


class ItemFailed(NamedTuple):
    """The item cannot be read or carried, and is skipped; the server continues with the next one.

    *reason* says what was seen and what to try. Before :class:`ItemStarted`, nothing of the item was sent. After it,
    this event also ends the item. *counts* is more to count in ``status`` than one failed item.
    """

    name: str
    reason: str
    counts: Mapping[str, int] = MappingProxyType({})


class SourceEnded(NamedTuple):
    """No more items follow: all were played and are not repeated, or (*failed*) none can be played.

    A source that is read again returns it again.
    """

    reason: str
    failed: bool = False


SourceEvent = ItemStarted | TsBytes | ItemEnded | ItemFailed | SourceEnded


class Source(Protocol):
    """The contract of a source; see the module for what each method may rely on."""

    @property
    def name(self) -> str:
        """What people call the source, for ``status`` and logs. Contains no password."""

    @property
    def live(self) -> bool:
        """Whether the source continues while it is not read, like a camera. ``False``: it waits, like a file."""

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """Return the next event; ``None`` if there is none within *timeout_s*, or if the source was closed.

        The first call starts the source, and so does the first call after :meth:`stop`.
        """

    def stop(self) -> None:
        """Close the input; the present item ends without an event. Called from the reading thread."""

    def close(self) -> None:
        """Stop for good, and make a waiting :meth:`read` return. From any thread, any number of times."""
