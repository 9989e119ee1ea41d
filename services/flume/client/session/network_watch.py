"""Notices that this host has another address, or another way to the server, than the session began with.

A TCP connection keeps its addresses for ever. After a change of network its packets go nowhere, and no error says so
before minutes. The media socket is bound to the same address, so both have to be made anew.

A host that slept is in the same position: the server has ended the session and the connection long ago, but what it
said of that came while nothing listened, and on the monotonic clock no time has passed.
"""

import time
from collections.abc import Callable

from flume.client.session.control_link import ControlLink
from flume.settings import CONSENT_TIMEOUT_S
from flume.sockaddr import has_address, source_towards

SILENCE_S = 1.0
"""Silence of an expected stream after which the way to the server is looked at. A stream that flows is left alone: an
IPv6 privacy address (RFC 8981) is replaced each day, and the old one goes on working. Shorter than the wait before the
server is asked what it has sent, because that question would be lost with the connection."""

LOOKS = 2
"""Looks in a row at which the address must be missing: an interface that is set up anew lacks it for a moment."""


def asleep_s() -> float:
    """Return for how long this host has slept since it was started (suspend, hibernate), in seconds.

    CLOCK_BOOTTIME counts that time and CLOCK_MONOTONIC does not (clock_gettime(2)). 0 on systems without the former.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.clock_gettime(clock) - time.clock_gettime(time.CLOCK_MONOTONIC)


class NetworkWatch:
    """Call :meth:`has_changed` about once a second, from one thread."""

    def __init__(self, *, asleep_s: Callable[[], float] = asleep_s) -> None:
        """Begin with nothing missed."""
        self._missing = 0
        self._read_asleep_s = asleep_s
        self._asleep_s = asleep_s()

    def has_changed(self, link: ControlLink | None, silence_s: float) -> bool:
        """End *link* where this host's network has changed, and return whether that was so.

        *silence_s*: for how long nothing has come of what is expected, 0 while nothing is.
        """
        asleep_s, self._asleep_s = self._asleep_s, self._read_asleep_s()
        if link is None or not link.is_open:
            self._missing = 0
            return False
        slept_s = self._asleep_s - asleep_s
        if slept_s > CONSENT_TIMEOUT_S:
            reason: str | None = f"this host slept for {slept_s:.0f} s, in which the server got no token"
        else:
            reason = self._reason(link, silence_s)
        if reason is not None:
            self._missing = 0
            link.lose(reason)
        return reason is not None

    def _reason(self, link: ControlLink, silence_s: float) -> str | None:
        local_host, is_silent = link.local_host, silence_s > SILENCE_S
        self._missing = 0 if has_address(local_host) else self._missing + 1
        if self._missing >= (1 if is_silent else LOOKS):
            return f"this host no longer has the address {local_host}"
        if not is_silent or self._missing:
            return None
        try:
            now_from = source_towards(link.peer)
        except OSError:  # the connection has just ended
            return None
        if now_from in {None, local_host}:
            return None
        return f"this host reaches the server from {now_from} now, no longer from {local_host}"
