"""From a byte stream to control lines, in bounded memory."""

from flume.errors import RemoteProtocolError
from flume.settings import MAX_LINE_BYTES

Line = bytes | RemoteProtocolError
"""A line without its newline, or the reason why what stood there is not one."""


class LineAssembler:
    """Collects bytes into lines; an oversized line is reported once and skipped up to its newline.

    Skipping rather than closing keeps a person's typing session alive after one bad paste, and costs no
    memory: what belongs to an oversized line is dropped as it comes.
    """

    def __init__(self) -> None:
        """Begin at the start of a line."""
        self._pending = bytearray()
        self._skipping = False

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished line have come so far."""
        return len(self._pending)

    def feed_untrusted(self, data: bytes) -> list[Line]:
        """Take *data* and return what is now complete; blank lines are left out. Raises nothing."""
        lines: list[Line] = []
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._extend(part, lines)
            if not self._skipping and self._pending.strip():
                lines.append(bytes(self._pending).rstrip(b"\r"))
            self._pending.clear()
            self._skipping = False
        self._extend(rest, lines)
        return lines

    def _extend(self, part: bytes, lines: list[Line]) -> None:
        if self._skipping:
            return
        self._pending += part
        # One byte is the newline's.
        if len(self._pending) >= MAX_LINE_BYTES:
            self._pending.clear()
            self._skipping = True
            message = f"a control line has at most {MAX_LINE_BYTES} bytes; this one was skipped"
            lines.append(RemoteProtocolError("oversized", message))
