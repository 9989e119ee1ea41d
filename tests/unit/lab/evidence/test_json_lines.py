"""The dialect of JSON lines: which bytes become which command, reply, event or frame."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.lab.evidence.facts import Command, Event, Reply
from flume.lab.evidence.json_lines import Frame, JsonLines

CLIENT = ("198.18.0.11", 40000)


def from_client(data: bytes) -> list[Command]:
    return JsonLines(CLIENT).from_client_untrusted(1.0, data)


def from_server(data: bytes, *, has_begin: bool = True) -> list[Reply | Event | Frame]:
    return JsonLines(CLIENT).from_server_untrusted(1.0, data, has_begin=has_begin)


@pytest.mark.parametrize(
    ("line", "name", "over_tcp"),
    [
        (b'{"command":"status"}', "status", False),
        (b'{"command":"connect","transport":"tcp"}', "connect", True),
        (b'{"command":"connect","transport":"udp"}', "connect", False),
        (b'{"command":["connect"]}', "?", False),
        (b'{"reply":"connect"}', "?", False),
        (b"nonsense", "?", False),
        (b"", "?", False),
    ],
)
def test_each_line_of_the_client_is_a_command(line: bytes, name: str, over_tcp: bool):
    assert from_client(line + b"\n") == [Command(1.0, CLIENT, name, over_tcp)]


def test_a_line_of_the_client_is_complete_with_its_newline():
    dialect = JsonLines(CLIENT)
    assert dialect.from_client_untrusted(1.0, b'{"command":"sta') == []
    assert dialect.from_client_untrusted(2.0, b'tus"}\n') == [Command(2.0, CLIENT, "status")]


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (
            {
                "reply": "connect",
                "state": "connecting",
                "token": "00ff",
                "transport": "tcp",
                "consent_timeout_ms": 1500,
            },
            Reply(1.0, CLIENT, "connect", None, "connecting", token=b"00ff", over_tcp=True, consent_timeout_s=1.5),
        ),
        (
            {"reply": "interrupt", "state": "interrupted", "last_sequence": 9, "datagrams": 3},
            Reply(1.0, CLIENT, "interrupt", None, "interrupted", None, 9, 3),
        ),
        ({"reply": "continue", "first_sequence": 9}, Reply(1.0, CLIENT, "continue", None, None, 9)),
        ({"reply": "error", "command": "continue", "code": "busy"}, Reply(1.0, CLIENT, "continue", "busy")),
        ({"reply": "error", "command": None}, Reply(1.0, CLIENT, None, "error")),
        ({"reply": "connect", "consent_timeout_ms": 10**400}, Reply(1.0, CLIENT, "connect")),
        ({"reply": "connect", "consent_timeout_ms": -1}, Reply(1.0, CLIENT, "connect")),
        ({"reply": 5, "token": 6, "state": [], "datagrams": True}, Reply(1.0, CLIENT, None)),
        ({"event": "active", "first_sequence": 7}, Event(1.0, CLIENT, "active", None, 7)),
        ({"event": "closed", "state": "closed"}, Event(1.0, CLIENT, "closed", "closed")),
        ({"state": "closed"}, Event(1.0, CLIENT, "", "closed")),
    ],
)
def test_each_object_of_the_server_is_a_reply_or_an_event(message: dict[str, object], value: Reply | Event):
    assert from_server(json.dumps(message).encode() + b"\n") == [value]


def test_frames_and_lines_keep_their_order_and_position():
    data = b'{"event":"active"}\n' + b"\0\3abc" + b'{"reply":"interrupt"}\n'
    assert from_server(data) == [
        Event(1.0, CLIENT, "active"),
        Frame(b"abc", 19),
        Reply(1.0, CLIENT, "interrupt", offset=24),
    ]


def test_what_is_not_the_protocol_counts_as_media_where_the_beginning_is_known():
    assert from_server(b"HTTP/1.1 400\n") == [Frame(b"HTTP/1.1 400\n", 0)]
    assert from_server(b"{no object}\n") == [Frame(b"{no object}\n", 0)]
    assert from_server(b"\r\n") == [Event(1.0, CLIENT, "")]


def test_without_the_beginning_it_is_an_event_without_a_name():
    assert from_server(b"\0\3abc rest of a line\n", has_begin=False) == [Event(1.0, CLIENT, "")]


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
KEYS = st.sampled_from(
    ["reply", "event", "command", "code", "state", "token", "transport", "datagrams", "consent_timeout_ms"]
)


@given(st.dictionaries(KEYS, VALUES) | st.just({"reply": "connect", "token": "\ud800"}))
def test_any_object_is_read_without_an_error(message: dict[str, object]):
    line = json.dumps(message).encode() + b"\n"
    assert len(from_server(line)) == 1
    assert len(from_client(line)) == 1


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_without_an_error(data: bytes, has_begin: bool):
    from_server(data, has_begin=has_begin)
    from_client(data)
