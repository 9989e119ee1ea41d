"""What a client reports by itself."""

import msgspec


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened without a command. *event* is state, first_frame, notice or error."""

    event: str
    state: str
    """The session's state at the time."""
    message: str | None = None
    code: str | None = None
    command: str | None = None
    milliseconds: float | None = None
    """For ``first_frame``: the time since *command* (connect or continue) was sent."""
