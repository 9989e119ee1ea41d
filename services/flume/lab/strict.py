"""The base of all values that are read from a file which a person writes."""

import msgspec


class FileValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of such a file. A key that no field has is refused: it may be a misspelt one that would have no effect.

    >>> class Server(FileValue, frozen=True, kw_only=True):
    ...     port: int = 5004
    >>> msgspec.convert({"prot": 5005}, Server)
    Traceback (most recent call last):
    msgspec.ValidationError: Object contains unknown field `prot`
    """
