"""Whose bytes are these? What a port that is not flume's says, in words. Pure."""

_TLS = frozenset({b"\x15\x03", b"\x16\x03"})
"""An alert or a handshake, of any version (RFC 8446, section 5.1)."""

_OWNERS = (
    ((b"http/", b"<!doctype html", b"<html"), "a web server (HTTP)"),
    ((b"ssh-",), "an SSH server"),
    ((b"rtsp/",), "an RTSP server"),
    ((b"220", b"421", b"554"), "a mail or FTP server"),
)
"""How answers begin, in lower case, and whose they are."""


def describe_untrusted(beginning: bytes, *, port: int) -> str:
    """Return one clause about *beginning*, the first bytes that came from *port* in answer to a question of ours."""
    if beginning[:2] in _TLS:
        return f"port {port} speaks TLS, which flume control does not"
    said = beginning.lstrip().lower()
    for beginnings, owner in _OWNERS:
        if said.startswith(beginnings):
            return f"port {port} belongs to {owner}: it says {_quote(beginning)}"
    if beginning:
        return f"port {port} does not speak flume control: it says {_quote(beginning)}"
    return f"port {port} opens, and the connection is closed without a word: it is not 'flume serve' that listens"


def _quote(beginning: bytes) -> str:
    line = beginning.strip().split(b"\n", 1)[0].rstrip(b"\r")[:60]
    return repr(line.decode("utf-8", "replace"))
