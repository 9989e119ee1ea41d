"""Values that no log, report or exception may show."""


class Secret:
    """A text that shows itself only when it is asked to.

    >>> word = Secret("correct horse")
    >>> word, f"{word}", word.reveal()
    (Secret(…), 'Secret(…)', 'correct horse')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep *text*."""
        self._text = text

    def __repr__(self) -> str:
        """Return what says nothing."""
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        """Whether *other* is the same secret."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Return what dictionaries need."""
        return hash(self._text)

    def reveal(self) -> str:
        """Return the text."""
        return self._text
