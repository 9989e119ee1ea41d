"""A host and its port: the pair, and how it is written. Pure."""

Address = tuple[str, int]
"""Host and port. An IPv6 address has no brackets; a link-local one has its interface: ``fe80::1%eth0``."""


def without_brackets(host: str) -> str:
    """Return *host* without the brackets around an IPv6 address in a URL (RFC 3986, section 3.2.2).

    In brackets the interface of a link-local address may be written as a URL has it (RFC 6874).

    >>> without_brackets("[::1]"), without_brackets("[fe80::1%25eth0]")
    ('::1', 'fe80::1%eth0')
    """
    return host[1:-1].replace("%25", "%") if host.startswith("[") and host.endswith("]") else host


def lacks_interface(host: str) -> bool:
    """Return whether *host* is a link-local IPv6 address (fe80::/10) without its interface, which leads nowhere.

    >>> lacks_interface("fe80::1"), lacks_interface("fe80::1%eth0")
    (True, False)
    """
    return without_brackets(host)[:3].lower() in {"fe8", "fe9", "fea", "feb"} and ":" in host and "%" not in host


def endpoint(host: str, port: int) -> str:
    """Return *host* and *port* as one word, an IPv6 address in brackets (RFC 3986, section 3.2.2).

    >>> endpoint("::1", 5004)
    '[::1]:5004'
    """
    address = without_brackets(host)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
