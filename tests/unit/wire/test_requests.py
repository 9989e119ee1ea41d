"""What is asked over the control socket of a wire, and what its container prints."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import requests
from wire.requests import Plug, Status, Tc, WireError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'do': 'plug', 'client': 'c3', 'bridge': 'b3'}", Plug("c3", "b3")),
        ('{"do": "tc", "lines": "qdisc show\\n"}', Tc("qdisc show\n")),
        ("{'do': 'status'}", Status()),
    ],
)
def test_a_request_is_a_python_literal(text: str, expected: requests.Request) -> None:
    assert requests.parse(text.encode()) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no Python literal"),
        (b"\xff", "no Python literal"),
        (b"__import__('os').getpid()", "no Python literal"),
        (b"(" * 10_000, "no Python literal"),
        (b"[]", "unknown request"),
        (b"{'do': 'reboot'}", "unknown request {'do': 'reboot'}"),
        (b"{'do': 'tc', 'lines': 3}", "unknown request"),
        (b"{'do': 'status', 'more': 1}", "unknown request"),
        (b"{'do': 'plug', 'client': 'c3', 'bridge': '../b'}", "'../b' is no name of an interface"),
        (b"{'do': 'plug', 'client': '', 'bridge': 'b3'}", "'' is no name of an interface"),
        (b"{'do': 'plug', 'client': 'sixteen-letters-', 'bridge': 'b3'}", "is no name of an interface"),
    ],
)
def test_anything_else_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(WireError) as caught:
        requests.parse(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.text(), st.integers())
def test_an_event_is_one_line_of_json(reason: str, links: int) -> None:
    line = requests.event("ended", reason=reason, links=links)
    assert "\n" not in line
    assert json.loads(line) == {"event": "ended", "reason": reason, "links": links}
