"""The answer to DESCRIBE: an SDP (RFC 4566) of one stream, MPEG-TS in RTP (RFC 3551, payload type 33)."""

from flume.control.rtsp.headers import printable

MEDIA_CONTROL = "stream=0"
"""Name of the one media stream, relative to the address of the whole. VLC's SAT>IP module has this name built in."""


def describe(*, title: str, host: str, version: int, seconds: float | None) -> bytes:
    r"""Return the SDP. *host* is the server's address, *version* rises whenever the description changes.

    *seconds*: how long the stream is; ``None`` for a live one. VLC's live555 module offers a pause only for a stream
    that has an end.

    >>> print(describe(title="film.mp4", host="198.18.0.2", version=1, seconds=None).decode().replace("\r", ""))
    v=0
    o=- 1 1 IN IP4 198.18.0.2
    s=film.mp4
    c=IN IP4 0.0.0.0
    t=0 0
    a=tool:flumelab
    a=control:*
    a=range:npt=now-
    m=video 0 RTP/AVP 33
    a=rtpmap:33 MP2T/90000
    a=control:stream=0
    <BLANKLINE>
    """
    family, any_host = ("IP6", "::") if ":" in host else ("IP4", "0.0.0.0")
    # A line of SDP ends at a control character, so that a title with one could add lines of its own.
    words = " ".join(printable(title).split())[:200]
    lines = [
        "v=0",
        f"o=- {version} {version} IN {family} {host.partition('%')[0]}",
        f"s={words or '-'}",
        f"c=IN {family} {any_host}",
        "t=0 0",
        "a=tool:flumelab",
        "a=control:*",
        "a=range:npt=now-" if seconds is None else f"a=range:npt=0-{seconds:.3f}",
        "m=video 0 RTP/AVP 33",
        "a=rtpmap:33 MP2T/90000",
        f"a=control:{MEDIA_CONTROL}",
    ]
    return "\r\n".join([*lines, ""]).encode()
