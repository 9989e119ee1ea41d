"""What a request over HTTP gives, or why it gives nothing. Pure."""

from typing import NamedTuple


class Fetched(NamedTuple):
    """What an address gave."""

    address: str
    """After redirects; relative entries are relative to it."""
    content_type: str
    data: bytes | None
    """``None``: it is video or sound by its content type, of which nothing was read."""


class FetchError(Exception):
    """The address gave nothing. The text says why, for people."""

    def __init__(self, reason: str, *, is_timeout: bool) -> None:
        """*is_timeout*: the time limit of one call of the socket came before that of the whole."""
        super().__init__(reason)
        self.is_timeout = is_timeout
