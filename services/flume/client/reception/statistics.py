"""What the receiver has counted: frozen, and ready to become JSON."""

import msgspec

from flume.settings import Transport

SILENT_AFTER_S = 5.0
"""Without a datagram for this long an active stream counts as silent. A source may need that long to come back from
idleness; beyond it a firewall is more likely."""


class ReceptionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the media socket, or the control connection in its place, brought since the client began."""

    transport: Transport | None = None
    """What carries the media, or did last; ``None`` before the first session."""
    datagrams: int = 0
    """All media datagrams of this server's stream, duplicates and late ones included."""
    bytes: int = 0
    """Their UDP payloads."""
    lost: int = 0
    """Numbers inside the announced windows that never arrived, those of *dropped_by_receiver* among them. For raw TS:
    announced minus counted. Over TCP: what the server passed over because the connection was slower than the stream."""
    late: int = 0
    """Arrived after the wait for them had ended: received, not played."""
    duplicates: int = 0
    reordered: int = 0
    unexpected: int = 0
    """Arrived outside every announced window."""
    unrelated: int = 0
    """Datagrams that do not belong to this stream: another SSRC, not RTP (or not MPEG-TS) at all, or frames outside a
    session over TCP."""
    jitter_ms: float = 0.0
    """RFC 3550, of the present window; the burst with which a window begins is part of it."""
    loss_runs: dict[int, int] = {}
    """Length of a run of missing datagrams to how often it was seen; the last length counts all above as well."""
    longest_loss_run: int = 0
    windows: int = 0
    dropped_by_receiver: int = 0
    """Dropped by this host's kernel because the socket's buffer was full: not the network's loss. Known at once; in
    *lost* only when the numbers after it have been read."""
    receive_buffer_bytes: int = 0
    """What the kernel granted, in its own count, which includes its book-keeping."""
    last_datagram_age_s: float | None = None
