"""Sessions know no dialect: a second front, for words in the manner of RTSP, steers the same table.

Its client names its UDP port and sends no token, its answers are status codes, and its frames begin with a dollar sign.
"""

from flume.control.messages import (
    Active,
    Closed,
    Connect,
    Connected,
    Continue,
    Continued,
    Disconnect,
    Disconnected,
    Event,
    Interrupt,
    Interrupted,
    Refused,
    Reply,
)
from flume.control.session import Signal, State
from flume.media.ring import DATAGRAM_BYTES
from flume.server.sessions.table import SessionTable
from support.servers.session_harness import FIRST_SEQUENCE, SessionHarness, let_run, with_sessions

PEER = ("127.0.0.1", 40_000)
MEDIA_PORT = 40_010


class WordFront:
    """``SETUP udp PORT``, ``SETUP tcp``, ``PLAY``, ``PAUSE`` and ``TEARDOWN``, each on a line."""

    is_clear = True
    peer_host = PEER[0]
    frame_header = b"$\0" + DATAGRAM_BYTES.to_bytes(2, "big")

    def __init__(self, table: SessionTable) -> None:
        self.session = table.open(PEER, self._send, sink=self, has_tokens=False)
        self._media_port = 0
        self.written: list[bytes] = []

    async def feed(self, data: bytes) -> None:
        """Carry out the lines in *data*."""
        for line in data.decode().splitlines():
            match line.split():
                case ["SETUP", "udp", port]:
                    self._media_port = int(port)
                    await self.session.command(Connect())
                case ["SETUP", "tcp"]:
                    await self.session.command(Connect(transport="tcp"))
                case ["PLAY"] if self.session.state is State.CONNECTING:
                    self.session.consent((PEER[0], self._media_port))
                    await let_run()
                case ["PLAY"]:
                    await self.session.command(Continue())
                case ["PAUSE"]:
                    await self.session.command(Interrupt())
                case ["TEARDOWN"]:
                    await self.session.command(Disconnect())

    def _send(self, message: Reply | Event) -> None:
        match message:
            case Connected(port=port):
                line = f"200 SETUP server_port={port}"
            case Active(first_sequence=first) | Continued(first_sequence=first):
                line = f"200 PLAY seq={first}"
            case Interrupted(last_sequence=last, datagrams=datagrams):
                line = f"200 PAUSE last={last} of {datagrams}"
            case Disconnected(datagrams=datagrams):
                line = f"200 TEARDOWN after {datagrams}"
            case Refused(command=command):
                line = f"455 {command}"
            case Closed(code=code):
                line = f"BYE {code}"
            case _:
                line = f"# {message}"
        self.written.append(line.encode() + b"\r\n")

    def begin_media(self) -> None:
        """Nothing to prepare."""

    def write_media(self, frames: bytes) -> None:
        self.written.append(frames)


@with_sessions
async def test_a_client_that_names_its_port_is_steered_through_all_states(harness: SessionHarness):
    front = WordFront(harness.table)
    await front.feed(b"PAUSE\r\nSETUP udp %d\r\n" % MEDIA_PORT)
    assert harness.current.roster.recipients == ()
    await front.feed(b"PLAY\r\n")
    assert harness.recipient.socket.getpeername() == (PEER[0], MEDIA_PORT)
    harness.deliver(3)
    await front.feed(b"PAUSE\r\n")
    assert harness.current.roster.recipients == ()
    harness.deliver(2)
    await front.feed(b"PLAY\r\n")
    harness.deliver(4)
    await front.feed(b"TEARDOWN\r\n")
    assert harness.current.roster.recipients == ()
    assert front.written == [
        b"455 interrupt\r\n",
        b"200 SETUP server_port=%d\r\n" % harness.media_port.port,
        b"200 PLAY seq=%d\r\n" % FIRST_SEQUENCE,
        b"200 PAUSE last=%d of 3\r\n" % (FIRST_SEQUENCE + 2),
        b"200 PLAY seq=%d\r\n" % (FIRST_SEQUENCE + 3),  # the keyframe that came meanwhile
        b"200 TEARDOWN after 4\r\n",
    ]


@with_sessions
async def test_the_end_of_the_video_reaches_it_in_its_own_words(harness: SessionHarness):
    front = WordFront(harness.table)
    await front.feed(b"SETUP udp %d\r\nPLAY\r\n" % MEDIA_PORT)
    await harness.table.signal_all(Signal.SOURCE_ENDED, "over")
    assert front.written[-1] == b"BYE source_ended\r\n"


@with_sessions
async def test_media_on_its_connection_have_its_own_frames_and_stop_before_the_answer(harness: SessionHarness):
    front = WordFront(harness.table)
    await front.feed(b"SETUP tcp\r\n")
    harness.deliver(2)
    await front.feed(b"PAUSE\r\n")
    harness.deliver(2)
    frames = front.written[2]
    length = len(front.frame_header) + DATAGRAM_BYTES
    assert [frames[at : at + 4] for at in range(0, len(frames), length)] == [front.frame_header] * 2
    assert front.written[:2] + front.written[3:] == [
        b"200 SETUP server_port=%d\r\n" % harness.media_port.port,
        b"200 PLAY seq=%d\r\n" % FIRST_SEQUENCE,
        b"200 PAUSE last=%d of 2\r\n" % (FIRST_SEQUENCE + 1),
    ]
