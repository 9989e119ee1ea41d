"""Former name of :mod:`.expand` and :mod:`.items`."""

from flume.server.sources.expand import expand
from flume.server.sources.items import Item, problem_of

__all__ = ["Item", "expand", "problem_of"]
