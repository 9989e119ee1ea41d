"""JSON that this program did not write itself: a file that was damaged, the line of a program that broke down."""

from typing import TypeVar

import msgspec

Value = TypeVar("Value")


def decode_untrusted(data: bytes | str, kind: type[Value]) -> Value:
    """Return the value of type *kind* in *data*; raises :class:`msgspec.DecodeError` and nothing else.

    msgspec raises other errors for text that is not UTF-8, and for values nested too deeply.

    >>> decode_untrusted(b'{"a":1}', dict[str, int])
    {'a': 1}
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
