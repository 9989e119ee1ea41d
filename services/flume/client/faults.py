"""What a server's status reports as wrong, in words for people."""

from flume.control.messages import ServerStatus, UpstreamStatus


def describe_faults(server: ServerStatus) -> str:
    """Return what is wrong with *server*, to be put behind a line; empty when nothing is.

    Example: ``; the source: stalls 2, pcr_jumps 1; not sent: send_buffer_full 7``
    """
    parts = (("the source", server.source_counts), ("sent singly", server.fallbacks), ("not sent", server.drops))
    lists = ((title, ", ".join(f"{name} {count}" for name, count in counts.items())) for title, counts in parts)
    return "".join(f"; {title}: {names}" for title, names in lists if names)


def describe_upstream(upstream: UpstreamStatus | None) -> str:
    """Return what a relay says of its *upstream*, to be put behind a line; empty for a server that is no relay.

    >>> describe_upstream(None)
    ''
    """
    if upstream is None:
        return ""
    reason = "" if upstream.error is None else f": {upstream.error}"
    return (
        f"; relay of {upstream.address}, {upstream.state} for {upstream.state_s:.0f} s, "
        f"{upstream.datagrams} datagrams received, {upstream.lost} lost{reason}"
    )
