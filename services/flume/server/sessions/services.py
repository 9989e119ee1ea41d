"""What a session needs of the server, in one value."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from flume.control.messages import ServerStatus
from flume.media.ring import Ring
from flume.server.sending.media_port import MediaPort
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sessions.arrivals import Arrivals
from flume.server.sessions.tokens import Tokens
from flume.settings import ServerSettings


class SessionServices(NamedTuple):
    """Shared by all sessions of one server."""

    settings: ServerSettings
    ring: Ring
    media_port: MediaPort
    subscriptions: Subscriptions
    tokens: Tokens
    arrivals: Arrivals
    segmentation: bool
    """Whether UDP segmentation works here and is wanted."""
    refused: Counter[str]
    """What was refused because of a limit, by reason."""
    status: Callable[[], ServerStatus]
    """Returns the state of the server as a whole, for the reply to ``status``."""
