"""JSON that another program wrote, whole or damaged."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.untrusted_json import decode_untrusted


class Known(msgspec.Struct):
    a: int
    text: str = ""


def test_what_is_asked_for_is_returned_and_other_keys_mean_nothing() -> None:
    assert decode_untrusted(b'{"a": 1, "b": [2]}', Known) == Known(1)
    assert decode_untrusted('{"a": 1}', dict[str, int]) == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":"x"}', b'{"a":1,"text":"\xff"}', b'{"b":' + 5000 * b"[", 5000 * b'{"a":', '{"a":"\ud800"}'],
)
def test_everything_else_is_one_kind_of_error(data: bytes | str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_untrusted(data, Known)


@given(st.binary())
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        decode_untrusted(data, Known)
