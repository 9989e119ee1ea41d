"""Lines and frames of the control connection, the messages of child processes, and datagrams at the media port."""

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import msgspec

from flume.client.playback import process_messages
from flume.control.codec import LineAssembler, encode, parse_from_server_untrusted, parse_request_untrusted
from flume.control.endpoint import Address
from flume.control.framing import MAX_FRAME_BYTES, Demultiplexer, Frame
from flume.doctor.banner import describe_untrusted
from flume.doctor.sockets import _icmp_untrusted
from flume.errors import RemoteProtocolError
from flume.parent_link import FrameBuffer, NoFrameError
from flume.reader import messages as reader_messages
from flume.server.sessions.arrivals import Arrivals
from flume.server.sessions.echo import MAX_ECHO_BYTES
from flume.server.sessions.proofs import is_proof
from flume.server.sessions.tokens import TOKEN_CHARACTERS, Tokens
from flume.settings import MAX_LINE_BYTES
from fuzz.reading import Reading, pieces

HOST = "198.18.0.2"


def _comparable(item: bytes | Frame | RemoteProtocolError) -> object:
    return str(item) if isinstance(item, RemoteProtocolError) else item


def control_request(data: bytes) -> None:
    """A server reads what a client sends: lines, whatever their pieces, and requests that read back the same."""
    reading = Reading(data)
    size, text = reading.byte(), reading.rest()
    lines, in_pieces = LineAssembler().feed_untrusted(text), []
    assembler = LineAssembler()
    for piece in pieces(text, size):
        in_pieces += assembler.feed_untrusted(piece)
        assert assembler.pending_bytes < MAX_LINE_BYTES
    assert [*map(_comparable, lines)] == [*map(_comparable, in_pieces)]
    for line in lines:
        if isinstance(line, RemoteProtocolError):
            continue
        try:
            request = parse_request_untrusted(line)
        except RemoteProtocolError:
            continue
        assert parse_request_untrusted(encode(request)) == request


def control_answer(data: bytes) -> None:
    """A client reads what a server sends: lines and frames, whatever their pieces; messages that read back the same."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    items, in_pieces = Demultiplexer().feed_untrusted(stream), []
    demultiplexer = Demultiplexer()
    for piece in pieces(stream, size):
        in_pieces += demultiplexer.feed_untrusted(piece)
        assert demultiplexer._lines.pending_bytes < MAX_LINE_BYTES
        assert len(demultiplexer._frame) <= 2 + MAX_FRAME_BYTES
    assert [*map(_comparable, items)] == [*map(_comparable, in_pieces)]
    for line in items:
        if not isinstance(line, bytes):
            continue
        try:
            message = parse_from_server_untrusted(line)
        except RemoteProtocolError:
            continue
        if len(encoded := encode(message)) <= MAX_LINE_BYTES:
            assert parse_from_server_untrusted(encoded) == message


def process_frames(data: bytes) -> None:
    """A child process writes frames; each piece of them adds the same."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    at_once, in_pieces = FrameBuffer(), FrameBuffer()
    frames: list[tuple[int, bytes]] = []
    try:
        for piece in pieces(stream, size):
            frames += in_pieces.feed(piece)
    except NoFrameError:
        frames.clear()
    try:
        assert at_once.feed(stream) == frames
    except NoFrameError:
        assert not frames


def reader_event(data: bytes) -> None:
    """The reader process reports an event."""
    try:
        event = reader_messages.decode_event_untrusted(data)
    except msgspec.DecodeError:
        return
    assert reader_messages.decode_event_untrusted(reader_messages.encode(event)) == event


def player_event(data: bytes) -> None:
    """The player process reports an event."""
    try:
        event = process_messages.decode_event_untrusted(data)
    except msgspec.DecodeError:
        return
    assert process_messages.decode_event_untrusted(process_messages.encode(event)) == event


class Holder:
    """A session, as far as the media port knows it."""

    def __init__(self, peer: Address) -> None:
        """Begin without consent; the client's end of the control connection is *peer*."""
        self.peer, self.local_host, self.leaving = peer, None, False
        self.port_check = self
        self.icmp_error: str | None = None
        self.consents: list[Address] = []

    local_host: str | None

    def has_proved(self, source: Address) -> bool:
        """Whether *source* has answered."""
        return source in self.consents

    def await_proof(self, source: Address) -> bool:
        """Miss proofs always, so that each token makes a notice."""
        return True

    def note_proof(self, source: Address) -> None:
        """Take a proof; consent follows."""

    def consent(self, source: Address) -> None:
        """Keep *source*."""
        self.consents.append(source)

    def notice(self, code: str, message: str) -> None:
        """Take a notice, which changes nothing."""


class Sent(NamedTuple):
    """A datagram that the media port sent back."""

    data: bytes
    destination: Address


class Port:
    """A media port without a socket."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.sent: list[Sent] = []

    def accept_only(self, prefix: bytes) -> None:
        """Filter nothing."""

    def accept_also_from(self, hosts: Collection[str]) -> None:
        """Filter nothing."""

    def send_back(self, data: bytes, destination: Address, source_host: str | None) -> str | None:
        """Keep what is sent."""
        self.sent.append(Sent(data, destination))
        return None


class MediaPortHarness:
    """What came from where, and what the server made of it."""

    def __init__(self) -> None:
        """Begin with one session, of :data:`HOST`."""
        self.port, self.tokens, self.holder = Port(), Tokens(), Holder((HOST, 4000))
        self.token = self.tokens.issue(self.holder).encode()
        self._later: list[Callable[[], None]] = []
        self._arrivals = Arrivals(
            self.port,  # type: ignore[arg-type]
            self.tokens,
            call_later=lambda _s, call, *arguments: self._later.append(partial(call, *arguments)),
        )
        self._received: Counter[Address] = Counter()
        self._moved = list[int]()
        self._punch = self._arrivals.punches.expect((HOST, 9000), self._moved.append, lambda: 0)

    def take(self, datagram: bytes, source: Address) -> None:
        """Let *datagram* come from *source*, and check what came of it."""
        consents, sent = len(self.holder.consents), len(self.port.sent)
        has_proved = source in self.holder.consents
        is_answer = is_proof(datagram, token_bytes=TOKEN_CHARACTERS) and Sent(datagram, source) in self.port.sent
        self._received[source] += len(datagram)
        self._arrivals.on_datagram_untrusted(datagram, source)
        assert (len(self.holder.consents) > consents) == (is_answer or (has_proved and datagram == self.token))
        assert self._punch.is_heard <= (self._received[HOST, 9000] > 0 or source == (HOST, 9000))
        assert (self._punch.port, self._moved) == (9000, []), "only PLAY moves it"
        assert all(one == (datagram, source) or self._is_question(one) for one in self.port.sent[sent:])

    def let_time_pass(self) -> None:
        """Make the calls that are due later."""
        due, self._later = self._later, []
        for call in due:
            call()

    def _is_question(self, sent: Sent) -> bool:
        return sent.data.startswith(self.token + b"!") and is_proof(sent.data, token_bytes=TOKEN_CHARACTERS)

    def check_factor(self) -> None:
        """No port has been sent more than three times the bytes that came from it, and no other host a byte."""
        sent: Counter[Address] = Counter()
        for data, destination in self.port.sent:
            assert destination[0] == HOST
            sent[destination] += len(data)
        assert all(count < 3 * self._received[address] for address, count in sent.items())


def media_port(data: bytes) -> None:
    """Anyone sends datagrams to the media port: only a proof of that port is consent, and no answer is much longer."""
    reading, harness = Reading(data), MediaPortHarness()
    while reading:
        choice, block = reading.byte(), reading.block()
        source = (HOST if choice & 1 else "203.0.113.9", reading.word())
        datagram = (harness.token if choice & 2 else b"") + block
        if choice & 4:
            datagram = datagram.ljust(MAX_ECHO_BYTES + (choice >> 3), b".")
        if choice & 8 and harness.port.sent:  # the answer to the latest question, perhaps from another port
            datagram, asked = harness.port.sent[-1]
            source = asked if choice & 16 else source
        harness.take(datagram, source)
        if choice & 32:
            harness.let_time_pass()
    harness.let_time_pass()
    harness.check_factor()
    assert harness.tokens.find_untrusted(harness.token) is harness.holder
    assert len(harness.token) == TOKEN_CHARACTERS


def doctor(data: bytes) -> None:
    """A doctor describes what another program answers, and reads what the kernel keeps of an ICMP message."""
    assert describe_untrusted(data, port=5004).isprintable()
    icmp = _icmp_untrusted(data)
    assert icmp is None or icmp.version in {4, 6}
