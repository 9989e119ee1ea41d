"""What a client tells of its own accord."""

import msgspec


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened by itself. *event* is state, first_frame, notice or error."""

    event: str
    state: str
    message: str | None = None
    code: str | None = None
    command: str | None = None
    milliseconds: float | None = None
    """For ``first_frame``: since *command* (connect or continue)."""
