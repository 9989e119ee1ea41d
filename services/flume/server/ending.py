"""When a server ends, and why."""

import asyncio
import logging

_log = logging.getLogger(__name__)


class Ending:
    """The end of one server. Everything here runs on the event loop."""

    def __init__(self) -> None:
        """Begin with no reason to end."""
        self._asked = asyncio.Event()
        self.source_ended: str | None = None
        """Why the source has no more; ``None`` while it continues, and when the server ends for another reason."""
        self.failed: str | None = None
        """The first fault of the server's own; ``None`` without one."""

    @property
    def is_asked(self) -> bool:
        """Whether the server is to end."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Return when the server is to end."""
        await self._asked.wait()

    def stop(self) -> None:
        """End in order; nothing happens if the end has begun."""
        self._asked.set()

    def on_source_ended(self, reason: str) -> None:
        """The last datagram of the source has been sent, or the source has failed: end."""
        self.source_ended = reason
        _log.info("the video is over: %s", reason)
        self.stop()

    def fail(self, reason: str) -> None:
        """End with a fault; the first one is kept."""
        self.failed = self.failed or reason
        self.stop()
