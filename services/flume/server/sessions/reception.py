"""What a client reports of its reception, in dialects that have such reports. Pure."""

from flume.control.messages import ReceiverClaim

RECENT_S = 15.0
"""Players report every 3 to 7.5 s (RFC 3550, section 6.2): one that said nothing for so long has stopped."""


class Reception:
    """The latest report of one client."""

    def __init__(self) -> None:
        """Begin without a report."""
        self.claim: ReceiverClaim | None = None
        self._reported_s = float("-inf")

    def report(self, claim: ReceiverClaim, now_s: float) -> None:
        """The client reports *claim* at *now_s* (monotonic)."""
        self.claim, self._reported_s = claim, now_s

    def is_recent(self, now_s: float) -> bool:
        """Whether a report came within :data:`RECENT_S` before *now_s*: its host receives."""
        return now_s - self._reported_s < RECENT_S
