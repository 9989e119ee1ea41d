"""Which program answers on a port that does not speak flume control, judged by its first bytes. Pure."""

_TLS = frozenset({b"\x15\x03", b"\x16\x03"})
"""An alert or a handshake, of any version (RFC 8446, section 5.1)."""

_PROGRAMS = (
    ((b"http/", b"<!doctype html", b"<html"), "a web server (HTTP)"),
    ((b"ssh-",), "an SSH server"),
    ((b"rtsp/",), "an RTSP server"),
    ((b"220", b"421", b"554"), "a mail or FTP server"),
)
"""Beginnings of answers, in lower case, and the program that sends them."""


def describe_untrusted(
    beginning: bytes, *, port: int, language: str = "flume control", program: str = "'flume serve'"
) -> str:
    """Return one clause about *beginning*, the first bytes from *port* in answer to a command of *language*.

    *program* is one that speaks it.

    >>> describe_untrusted(b"SSH-2.0-OpenSSH_9.2", port=5004)
    "port 5004 belongs to an SSH server: it says 'SSH-2.0-OpenSSH_9.2'"
    """
    if beginning[:2] in _TLS:
        return f"port {port} speaks TLS, which {language} does not"
    lowered = beginning.lstrip().lower()
    for beginnings, other in _PROGRAMS:
        if lowered.startswith(beginnings):
            return f"port {port} belongs to {other}: it says {_quote(beginning)}"
    if beginning:
        return f"port {port} does not speak {language}: it says {_quote(beginning)}"
    return f"port {port} opens, and the connection is closed without a word: the program there is not {program}"


def _quote(beginning: bytes) -> str:
    line = beginning.strip().split(b"\n", 1)[0].rstrip(b"\r")[:60]
    return repr(line.decode("utf-8", "replace"))
