"""The source runs only while clients receive: this starts and stops it."""

import asyncio

from flume.server.sources.feed import Feed

IDLE_HYSTERESIS_S = 2.0
"""A live source is stopped only after this long without a client: a quick interrupt and continue costs nothing."""


class Demand:
    """Starts what is sent with the first client, and stops it some time after the last. Runs on the event loop."""

    def __init__(self, feed: Feed) -> None:
        """Steer *feed*. A live source is stopped :data:`IDLE_HYSTERESIS_S` after the last client, a file at once."""
        self._feed = feed
        self._timer: asyncio.TimerHandle | None = None

    def update(self, active: int) -> None:
        """*active* clients receive now."""
        self.close()
        if active:
            self._feed.want(True)  # noqa: FBT003 - a state
        else:
            self._timer = asyncio.get_running_loop().call_later(
                IDLE_HYSTERESIS_S if self._feed.live else 0.0,
                self._feed.want,
                False,  # noqa: FBT003 - a state
            )

    def close(self) -> None:
        """Cancel a stop that is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
