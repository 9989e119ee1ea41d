"""RTSP as a test reads and writes it, without the product's code: responses, interleaved packets and requests."""

from typing import NamedTuple


class Response(NamedTuple):
    """A response; names of *headers* are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cseq(self) -> int | None:
        return int(self.headers["cseq"]) if "cseq" in self.headers else None


class Interleaved(NamedTuple):
    """A packet between the responses."""

    channel: int
    data: bytes


class ServerStream:
    """Cuts what a server sends into responses and packets; anything else fails the test."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Response | Interleaved]:
        """Take *data*; return what it completes, in order."""
        self._rest += data
        items: list[Response | Interleaved] = []
        while (item := self._next()) is not None:
            items.append(item)
        return items

    def _next(self) -> Response | Interleaved | None:
        rest = self._rest
        if rest[:1] == b"$":
            end = 4 + int.from_bytes(rest[2:4], "big")
            if len(rest) < max(end, 4):
                return None
            self._rest = rest[end:]
            return Interleaved(rest[1], rest[4:end])
        head, empty_line, behind = rest.partition(b"\r\n\r\n")
        if not empty_line:
            assert b"RTSP/1.0 ".startswith(rest[:9]) or rest.startswith(b"RTSP/1.0 "), rest[:80]
            return None
        first, *lines = head.decode().split("\r\n")
        version, status, _reason = first.split(" ", 2)
        assert version == "RTSP/1.0", first
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(headers) == len(lines), lines
        length = int(headers.get("content-length", 0))
        if len(behind) < length:
            return None
        self._rest = behind[length:]
        return Response(int(status), headers, behind[:length])


def request(method: str, uri: str, cseq: int | None, *headers: str, body: bytes = b"") -> bytes:
    """Return a request; *headers* are whole lines."""
    lines = [f"{method} {uri} RTSP/1.0"]
    if cseq is not None:
        lines.append(f"CSeq: {cseq}")
    lines += headers
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def packet(channel: int, data: bytes) -> bytes:
    """Return *data* as an interleaved packet."""
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data
