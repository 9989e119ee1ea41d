"""Every error that flumelab raises on purpose.

::

    FlumeError
    ├── SettingsError             a value that a person gave is out of range
    ├── ProtocolError
    │   ├── RemoteProtocolError   the peer sent something that is not the protocol
    │   └── IllegalCommandError   the command is not allowed in the session's present state
    ├── NetworkError           a socket could not be opened, or the peer is gone
    │   └── LoginError            the server wants a login, or refused this one
    ├── SourceError            a video cannot be read or carried in MPEG-TS
    ├── PlayerError            libvlc cannot play here
    ├── ServerError            an internal fault ended the server
    ├── CaptureError           a capture, or a packet in it, cannot be read
    └── LabError
        ├── EngineError           the Docker engine is absent, silent, or refused
        │   └── EngineAbsentError it is absent: no program listens where it should
        ├── SetupError            the machine could not be prepared
        └── EvidenceError         a capture or counter cannot be trusted

A message says what was attempted, on what, what was seen, and what to try. The one file that imports a vendor's
package translates its errors, with ``raise … from``::

    >>> str(SettingsError("port", 0, "a port from 1 to 65535"))
    'port=0 is not possible: a port from 1 to 65535'
"""

from collections.abc import Sequence


class FlumeError(Exception):
    """Base of all; :attr:`exit_code` is the exit status of a command-line program."""

    exit_code = 1


class SettingsError(FlumeError):
    """A setting is outside its range. The message names the key, the value and what is allowed."""

    exit_code = 2

    def __init__(self, key: str, value: object, allowed: str) -> None:
        """Compose the message from the *key*, the *value* seen (None: absent) and the *allowed* range in words."""
        seen = f"{key} is missing" if value is None else f"{key}={value!r} is not possible"
        super().__init__(f"{seen}: {allowed}")
        self.key, self.value, self.allowed = key, value, allowed


class ProtocolError(FlumeError):
    """Base of faults in the protocol, of the peer or of this program."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes are not the protocol; :attr:`code` is the machine-readable reason."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the *code* apart from the *message*, so that replies can carry both."""
        super().__init__(message)
        self.code = code


class IllegalCommandError(ProtocolError):
    """The command is not allowed in this state; nothing changed."""

    def __init__(self, command: str, state: str, allowed: Sequence[str]) -> None:
        """Name the *command*, the *state* and what is *allowed* now."""
        super().__init__(f"'{command}' is not possible while the session is {state}: send {' or '.join(allowed)}")
        self.command, self.state, self.allowed = command, state, tuple(allowed)


class NetworkError(FlumeError):
    """A socket could not be opened, or the peer is gone."""


class LoginError(NetworkError):
    """The server wants a login, or refused this one; :attr:`code` is its reason."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the *code* apart from the *message*."""
        super().__init__(message)
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether the same login would be refused again."""
        return self.code not in {"login_busy", "login_limited"}


class SourceError(FlumeError):
    """A video cannot be opened, decoded or carried."""


class PlayerError(FlumeError):
    """Playback is not possible here."""


class ServerError(FlumeError):
    """An internal fault after which the server cannot go on."""


class CaptureError(FlumeError):
    """A capture file, a frame in it or a stream cannot be read. The judge makes ERROR of it, and so does its status."""

    exit_code = 3


class LabError(FlumeError):
    """The lab, not the product, is at fault. Exit status 3 is that of the verdict ERROR."""

    exit_code = 3


class EngineError(LabError):
    """The Docker engine is absent, does not answer, or refused."""


class EngineAbsentError(EngineError):
    """No program listens where the Docker engine should. What it keeps on disk may still be there."""


class SetupError(LabError):
    """The machine could not be prepared for the lab."""


class EvidenceError(LabError):
    """A capture or a counter is missing, truncated or contradictory: no verdict may rest on it."""
