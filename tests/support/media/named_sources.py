"""Files, folders and playlists of tests, and a web without a network."""

from collections.abc import Callable
from pathlib import Path

from flume.server.sources.expand import expand
from flume.server.sources.fetched import Fetched
from flume.server.sources.items import UnplayableError


def video(path: Path) -> Path:
    path.write_bytes(b"not looked into here")
    return path


def names(*sources: object) -> list[str]:
    return [item.name for item in expand([str(source) for source in sources])]


def playlist(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def web(**pages: str | bytes | UnplayableError) -> Callable[..., Fetched]:
    """Return a fetch that knows *pages*, by the last part of their address with a dot for the underline."""

    def fetch(address: str, *, timeout_s: float) -> Fetched:
        assert 0 < timeout_s < 60
        page = pages[address.rpartition("/")[2].partition("?")[0].replace(".", "_")]
        if isinstance(page, UnplayableError):
            raise page
        return Fetched(address, "text/plain", page.encode() if isinstance(page, str) else page)

    return fetch
