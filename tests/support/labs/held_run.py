"""``flume lab run`` for tests: a scenario that has been played lasts on until standard input is closed.

So a test ends its run when what it waits for has happened, however long that takes on a busy host. All else is the
runner's own: it steers, looks after its containers, collects and judges.
"""

import sys
import threading
import time
from collections.abc import Iterator

from flume.cli import main
from flume.lab.run import runner
from flume.lab.run.fleet import Fleet

MOST_S = 150.0
"""A run that no test ends ends by itself."""


class HeldRun(runner._Run):
    """A run that goes on when its scenario ends."""

    def _play(self, fleet: Fleet) -> Iterator[float]:
        yield from super()._play(fleet)
        reader = threading.Thread(target=sys.stdin.read, daemon=True)
        reader.start()
        until_s = time.monotonic() + MOST_S
        while reader.is_alive():
            self._check(fleet)
            assert time.monotonic() < until_s, f"nothing ended this run within {MOST_S} s"
            yield self._timetable.end_s
            reader.join(0.05)


if __name__ == "__main__":
    setattr(runner, "_Run", HeldRun)  # noqa: B010 - mypy takes the class for a type alone
    main()
