"""The control parser: what it takes, what it refuses and how it says so."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.control.codec import (
    LineAssembler,
    LineBuffer,
    encode,
    parse_from_server_untrusted,
    parse_request_untrusted,
    to_object,
)
from flume.control.messages import (
    Active,
    ClientCounters,
    Connect,
    Connected,
    Interrupt,
    Refused,
    ServerStatus,
    Status,
)
from flume.control.session import Command, State
from flume.errors import RemoteProtocolError
from flume.settings import MAX_LINE_BYTES

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("command", list(Command))
def test_the_shortest_form_of_each_command(command):
    request = parse_request_untrusted(json.dumps({"command": command}).encode())
    assert request.command is command


@pytest.mark.parametrize(
    ("line", "code", "names"),
    [
        (b"", "malformed", "JSON"),
        (b"hello", "malformed", "JSON"),
        (b"[]", "malformed", "JSON"),
        (b"\xff\xfe", "malformed", "JSON"),
        (b'{"command":"connect"', "malformed", "JSON"),
        (b'{"command":"connect"}{"command":"status"}', "malformed", "JSON"),
        (b"[" * 4000, "malformed", "JSON"),
        (b"{}", "unknown_command", '"command" is missing'),
        (b'{"command":"stop"}', "unknown_command", "connect, interrupt, continue, disconnect, status"),
        (b'{"command":7}', "unknown_command", "7"),
        (b'{"command":["connect"]}', "unknown_command", "connect"),
        (b'{"command":"connect","version":"1"}', "invalid", "version"),
        (b'{"command":"connect","version":1.5}', "invalid", "version"),
        (b'{"command":"connect","payload":"mp4"}', "invalid", "payload"),
        (b'{"command":"connect","address":"10.0.0.1"}', "invalid", "address"),
        (b'{"command":"interrupt","now":true}', "invalid", "now"),
        (b'{"command":"connect","version":2}', "unsupported_version", "version 2"),
        (b'{"command":"' + b"x" * MAX_LINE_BYTES + b'"}', "oversized", str(MAX_LINE_BYTES)),
    ],
)
def test_what_is_refused_is_named(line, code, names):
    with pytest.raises(RemoteProtocolError) as caught:
        parse_request_untrusted(line)
    assert caught.value.code == code
    assert names in str(caught.value)
    assert len(str(caught.value)) < 400, "an error reply must not carry the whole of a hostile line back"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_one_error_type_only(line):
    for parse in (parse_request_untrusted, parse_from_server_untrusted):
        with contextlib.suppress(RemoteProtocolError):
            parse(line)


@given(
    st.dictionaries(
        st.sampled_from(["command", "version", "payload", "token", "x"]), JSON_VALUES | st.sampled_from(list(Command))
    )
)
def test_arbitrary_objects_raise_one_error_type_only(fields):
    line = json.dumps(fields).encode()
    with contextlib.suppress(RemoteProtocolError):
        request = parse_request_untrusted(line)
        assert fields["command"] == request.command


@pytest.mark.parametrize(
    "message",
    [
        Connect(payload="ts"),
        Interrupt(),
        Active(state=State.ACTIVE, address="198.18.0.2", port=4000, first_sequence=65535),
        Refused(state=State.CLOSED, command="continue", code="not_allowed_now", message="…", allowed=("connect",)),
        Connected(
            state=State.CONNECTING,
            token="00" * 16,
            port=5004,
            payload="rtp",
            ssrc=1,
            token_interval_ms=2000,
            consent_timeout_ms=7000,
        ),
    ],
)
def test_messages_survive_the_wire(message):
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) < 1024
    assert json.loads(line) == json.loads(json.dumps(to_object(message)))
    parse = parse_request_untrusted if isinstance(message, Connect | Interrupt) else parse_from_server_untrusted
    assert parse(line) == message


@given(
    st.lists(st.binary(min_size=1, max_size=50).filter(lambda part: b"\n" not in part and part.strip()), max_size=8),
    st.data(),
)
def test_lines_do_not_depend_on_how_the_stream_is_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    assembler = LineAssembler()
    seen = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += assembler.feed_untrusted(stream[start:stop])
    assert seen == [line.rstrip(b"\r") for line in lines]
    assert assembler.pending_bytes == 0


def test_an_oversized_line_is_reported_once_and_costs_no_memory():
    assembler = LineAssembler()
    seen = []
    for _ in range(100):
        seen += assembler.feed_untrusted(b"x" * 1000)
        assert assembler.pending_bytes < MAX_LINE_BYTES
    seen += assembler.feed_untrusted(b'\n{"command":"status"}\n')
    assert [type(line) for line in seen] == [RemoteProtocolError, bytes]


def test_two_commands_in_one_packet_are_two_lines():
    lines = LineAssembler().feed_untrusted(b'{"command":"status"}\r\n\n{"command":"connect"}\n{"comm')
    assert lines == [b'{"command":"status"}', b'{"command":"connect"}']


SERVER = ServerStatus(
    uptime_s=1.0, source="film", ingest="running", sessions=1, active=1, datagrams=9, segmentation=True, drops={}
)


def test_an_older_server_says_nothing_of_its_source():
    session = {"datagrams": 0}
    server = {key: value for key, value in msgspec.to_builtins(SERVER).items() if key != "source_counts"}
    line = json.dumps({"reply": "status", "state": "closed", "session": session, "server": server}).encode()
    status = parse_from_server_untrusted(line)
    assert isinstance(status, Status)
    assert status.server.source_counts == {}


@pytest.mark.parametrize("counts", [{"unreferenced_packets": 3, "stalls": 1}, {"foreign_packets": 3, "stalls": 1}])
def test_a_count_with_a_former_name_is_written_under_both_and_read_once(counts: dict[str, int]):
    """A program that reads the former name goes on, as does a client of a server that knows no other."""
    present = {"unreferenced_packets": 3, "stalls": 1}
    server = msgspec.structs.replace(SERVER, source_counts=present)
    status = Status(state=State.CLOSED, session=ClientCounters(), server=server)
    written = json.loads(encode(status))["server"]["source_counts"]
    assert written == {**present, "foreign_packets": 3}
    line = json.loads(encode(status)) | {"server": {**msgspec.to_builtins(SERVER), "source_counts": counts}}
    assert parse_from_server_untrusted(json.dumps(line).encode()) == status
    assert parse_from_server_untrusted(encode(status)) == status


@given(st.lists(st.sampled_from([b"\n", b"x", b"x" * 300, b"  \n", b'{"command":"status"}\n']), max_size=60))
def test_a_buffer_gives_out_the_lines_of_an_assembler_one_by_one(pieces):
    buffer, assembler, seen = LineBuffer(), LineAssembler(), []
    for piece in pieces:
        buffer.append_untrusted(piece)
        seen += [line for line in iter(buffer.take_untrusted, None) if line]
    assert [str(line) for line in seen] == [str(line) for line in assembler.feed_untrusted(b"".join(pieces))]
    buffer.clear()
    assert buffer.take_untrusted() is None


def test_a_buffer_can_be_stricter_than_the_protocol():
    buffer = LineBuffer(max_line_bytes=512)
    buffer.append_untrusted(b"x" * 511 + b"\n" + b"x" * 512)
    assert buffer.take_untrusted() == b"x" * 511
    error = buffer.take_untrusted()
    assert isinstance(error, RemoteProtocolError)
    assert "512 bytes" in str(error)
    assert buffer.pending_bytes == 0
