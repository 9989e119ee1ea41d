"""Observations of ``flume doctor rtsp://…`` as values. Pure."""

import re
from typing import NamedTuple

from flume.control.rtsp.headers import printable
from flume.control.rtsp.messages import Response
from flume.doctor.rtsp.arrivals import Arrivals

PLAYERS_PORTS = range(9000, 9510, 2)
"""Where Debian's VLC takes its port for media; that for reports is the next one. A firewall's rule names this range."""


class AnswerSeen(NamedTuple):
    """What came of OPTIONS; *outcome* is answered, silent, not_rtsp or turned_away."""

    outcome: str
    took_s: float
    text: str = ""
    """What the server says; where it is another program, a clause about that."""
    methods: tuple[str, ...] = ()
    """Those that the server lists; none: it lists none."""
    unacknowledged_bytes: int | None = None


class RequestSeen(NamedTuple):
    """What came of one request."""

    method: str
    response: Response | None
    """``None``: no response came in time."""
    took_s: float
    ended: str | None = None
    """Why the connection ended."""

    @property
    def status(self) -> int:
        """The status of the response, 0 without one."""
        return self.response.status if self.response is not None else 0

    @property
    def text(self) -> str:
        """The response in words, with the reason that the server adds (``X-Reason``)."""
        if self.response is None:
            return self.ended or f"no answer within {self.took_s:.1f} s"
        said = f"{self.response.status} {shown(self.response.reason)}".strip()
        more = self.response.headers.get("x-reason")
        return f"{said} ({shown(more)})" if more else said

    def header(self, name: str) -> str:
        """Return a header of the response, empty without one."""
        return self.response.headers.get(name, "") if self.response is not None else ""


class MediaSeen(NamedTuple):
    """What came of a stream in *window_s* seconds after the answer to PLAY."""

    window_s: float
    datagrams: int = 0
    bytes: int = 0
    first_s: float | None = None
    """When the first datagram came, after that answer."""
    lost: int = 0
    longest_gap: int = 0
    reports: int = 0
    first_report_s: float | None = None
    has_punched: bool = False
    """Whether a datagram was sent to the server's port before the first one came."""
    from_ports: tuple[int, ...] = ()
    strangers: int = 0
    """Datagrams from other addresses than the server's."""
    ended: str | None = None
    """Why the connection ended meanwhile."""

    @property
    def lost_pct(self) -> float:
        """Share of the stream that is missing, in percent."""
        return 100 * self.lost / (self.lost + self.datagrams) if self.datagrams else 0.0

    @property
    def mbit(self) -> float:
        """Rate of what came, in Mbit/s."""
        return self.bytes * 8 / 1e6 / max(self.window_s, 0.001)


def media_seen(arrivals: Arrivals, began_s: float, now_s: float, **more: object) -> MediaSeen:
    """Return what *arrivals* has, from *began_s* to *now_s* (monotonic); *more* are other fields."""
    seen = MediaSeen(
        window_s=now_s - began_s,
        datagrams=arrivals.count,
        bytes=arrivals.bytes,
        first_s=None if arrivals.first_s is None else max(0.0, arrivals.first_s - began_s),
        lost=arrivals.lost,
        longest_gap=arrivals.longest_gap,
        reports=arrivals.reports,
        first_report_s=None if arrivals.first_report_s is None else max(0.0, arrivals.first_report_s - began_s),
    )
    return seen._replace(**more)  # type: ignore[arg-type]


def asks_for_basic_untrusted(header: str) -> bool:
    """Whether a WWW-Authenticate header offers the scheme Basic (RFC 7617), perhaps beside others. Raises nothing.

    >>> asks_for_basic_untrusted('Digest realm="a", Basic realm="a"'), asks_for_basic_untrusted('Digest realm="Basic"')
    (True, False)
    """
    return re.search(r"(?:^|,)\s*basic\b", header, re.IGNORECASE) is not None


def shown(text: str) -> str:
    """Return *text*, which a server says, as one short line.

    >>> shown("Not\\tFound")
    'Not Found'
    """
    return " ".join(printable(text[:200]).split())
