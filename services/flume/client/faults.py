"""What a server's status reports as wrong, in words for people."""

from flume.control.messages import ServerStatus


def describe_faults(server: ServerStatus) -> str:
    """Return what is wrong with *server*, to be put behind a line; empty when nothing is.

    Example: ``; the source: stalls 2, pcr_jumps 1; not sent: send_buffer_full 7``
    """
    parts = (("the source", server.source_counts), ("sent singly", server.fallbacks), ("not sent", server.drops))
    lists = ((title, ", ".join(f"{name} {count}" for name, count in counts.items())) for title, counts in parts)
    return "".join(f"; {title}: {names}" for title, names in lists if names)
