"""A host and its port: the pair, and how it is written. Pure."""

Address = tuple[str, int]
"""Host and port. An IPv6 address has no brackets."""


def without_brackets(host: str) -> str:
    """Return *host* without the brackets around an IPv6 address in a URL (RFC 3986, section 3.2.2).

    >>> without_brackets("[::1]")
    '::1'
    """
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def endpoint(host: str, port: int) -> str:
    """Return *host* and *port* as one word, an IPv6 address in brackets (RFC 3986, section 3.2.2).

    >>> endpoint("::1", 5004)
    '[::1]:5004'
    """
    address = without_brackets(host)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
