"""Players for tests, and the one polling helper."""

import time
from collections.abc import Callable, Sequence

from flume.client.playback.player import PlayerStatistics


class FakePlayer:
    """Keeps what it is given; refuses to be used before its start or after its end."""

    drained_after_s = 0.4

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._running = False
        self._first_s: float | None = None
        self._last_s: float | None = None

    def start(self) -> None:
        assert not self._running
        self._running = True

    def write(self, payloads: Sequence[bytes | memoryview]) -> None:
        assert self._running
        self._last_s = time.monotonic()
        self._first_s = self._first_s or self._last_s
        self.payloads += map(bytes, payloads)

    def expect_frame(self) -> None:
        self._first_s = None

    def poll(self) -> None:
        """Nothing to look after."""

    def take_shown(self) -> list[tuple[float, int | None]]:
        return []

    def statistics(self) -> PlayerStatistics:
        return PlayerStatistics(
            kind="none", frames_displayed=len(self.payloads), first_frame_s=self._first_s, last_frame_s=self._last_s
        )

    def close(self) -> None:
        self._running = False

    def numbers(self) -> list[int]:
        """The numbers that FakeServer wrote into its datagrams."""
        return [int.from_bytes(payload[:4], "big") for payload in self.payloads if len(payload) == 1316]


def wait_until(what: str, condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.005)
