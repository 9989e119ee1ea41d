"""What a scenario expects of a figure of a client. Values only, pure."""

from flume.lab.strict import FileValue


class Bound(FileValue, frozen=True, kw_only=True):
    """What a figure of a client has to be; a side that is None has no bound."""

    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Bound(most=5))
        'at most 5'
        """
        sides = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {value:g}" for word, value in sides if value is not None)
