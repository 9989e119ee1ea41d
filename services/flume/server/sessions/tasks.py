"""Tasks of one session that run by themselves: kept until they end, and logged if they fail."""

import asyncio
import logging
from collections.abc import Coroutine

_log = logging.getLogger(__name__)


class SignalTasks:
    """Carries out signals without waiting for them. The event loop alone would not keep a task alive."""

    def __init__(self) -> None:
        """Begin without tasks."""
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run *work*, which carries out the signal *name*."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the signal %s failed", task.get_name(), exc_info=error)
