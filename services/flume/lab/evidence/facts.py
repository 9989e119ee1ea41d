"""What the judge rests on: facts decoded from captures, counters of the kernel, and claims of the programs.

Values only. Facts come from :mod:`flume.lab.evidence.capture`; counters and claims come from the runner. All times are
epoch seconds of the capturing host's clock; the judge first puts all on one (:mod:`flume.lab.evidence.one_clock`). A
*tap* is one tcpdump at one interface.

The control connections are here as commands, replies and events. Which bytes they were made of is known to the dialect
alone, see :mod:`flume.lab.evidence.json_lines`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from flume.capture import dissect
from flume.errors import EvidenceError
from flume.lab.evidence.bound import Bound
from flume.lab.evidence.clock import HostClock
from flume.settings import check

_Digest = bytes
Endpoint = dissect.Endpoint
"""IP address as text, and port."""

END_GRACE_S = 2.0
"""After the *client's* FIN or RST has arrived, or its consent has expired, the server may need this long to notice:
these ends of a window no acknowledgement marks. It takes 5 ms at rest; a server among busy loops on two cores answered
commands after up to 0.66 s. Far below the 7 s for which the server streams to a host that vanished without a FIN."""

RELAY = "relay"
"""The program of a subject that passes on what it is sent."""

PLAYER_SILENCE_S = 15.0
"""A connection of RTSP ends, as far as the server can know, when for so long no segment has come from its client.
The server asks a silent one every 5 s (keep-alives of TCP), and gives it up after 15 s, as it does where data are not
acknowledged. A host that is there answers by itself, whatever its player does."""


class Tap(NamedTuple):
    """One capture file, and how far it can be trusted."""

    name: str
    interface: str
    path: str
    packets: int
    dropped_by_kernel: int
    """tcpdump's own count: packets that it should have seen and did not."""
    snaplen: int
    first_s: float
    last_s: float
    problem: str | None
    """Why no verdict may rest on this tap, in one line; None when it is sound."""


class MediaDatagram(NamedTuple):
    """One datagram of the stream, as it passed the tap. A segmentation batch has been cut into its datagrams.

    A packet in a frame on the control connection (RFC 4571) counts as one datagram. Its time is that of the segment
    that completed the frame, when that segment was first seen.
    """

    time_s: float
    source: Endpoint
    destination: Endpoint
    identity: bytes
    """Digest of the payload: the same datagram at another tap has the same identity."""
    sequence: int | None
    """RTP's 16-bit number; None for plain transport packets and for anything else."""
    ssrc: int | None
    bytes: int
    video_frames_started: int
    offset: int | None = None
    """Over TCP: the position of its frame in the server's bytes of the connection. None: over UDP."""
    is_entry: bool = False
    """Whether it begins with a PAT, as every datagram does at which a player may begin."""
    is_fragmented: bool = False
    """Whether it came in IP fragments. Its time is that of the last one."""
    is_whole: bool = True
    """False: only its beginning passed the tap, in IP fragments; *identity* and *bytes* are those of that part."""
    timestamp: int | None = None
    """RTP's time stamp, 32 bits at 90 kHz; None without RTP."""
    content: _Digest = b""
    """Digest of the transport packets alone: a relay that numbers them anew leaves it as it is. Empty: not known."""


class ControlStart(NamedTuple):
    """A control connection begins: the SYN."""

    time_s: float
    client: Endpoint


class Command(NamedTuple):
    """A request of the client, at the time of the packet that completed it (its first transmission)."""

    time_s: float
    client: Endpoint
    """The client's end of the control connection."""
    name: str
    """connect, interrupt, continue, disconnect or status; ``?`` for bytes that are no request."""
    over_tcp: bool = False
    """Of connect: whether it asks for the media on the control connection itself."""


class Reply(NamedTuple):
    """What the server answered to a command, at the time of the packet that completed the reply."""

    time_s: float
    client: Endpoint
    command: str | None
    """The command that it answers; None where it names none, as the goodbye to an idle connection does."""
    refusal: str | None = None
    """The code of the refusal, which is not ``ok``; None: the command was granted."""
    state: str | None = None
    """The session's state, as the server names it."""
    first_sequence: int | None = None
    """The number of the first datagram, as the server announces it."""
    last_sequence: int | None = None
    """The number of the last datagram, as the server acknowledges it."""
    datagrams: int | None = None
    """The window's datagrams, as the server acknowledges them."""
    offset: int = 0
    """Its position in the server's bytes of the connection."""
    token: bytes | None = None
    """Of connect: what the client has to send from where it wants the media."""
    over_tcp: bool = False
    """Of connect: whether the media come on the control connection itself."""
    consent_timeout_s: float | None = None
    """Of connect: how long the server sends without another token."""
    media: Endpoint | None = None
    """Of connect, in a dialect without a token: where the media may go, once the client asks for them."""
    is_unclear: bool = False
    """It is a refusal because it cannot be read: a grant of nothing in particular, or an answer without a status. It
    opens no window, but where a client may take it for the end of one, the window ends."""


class Event(NamedTuple):
    """What the server said without being asked: active, closed, or another name; empty for bytes without meaning."""

    time_s: float
    client: Endpoint
    name: str
    state: str | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    datagrams: int | None = None
    offset: int = 0
    """Its position in the server's bytes of the connection."""


ControlMessage = Command | Reply | Event


class ControlEnd(NamedTuple):
    """The first FIN or RST of a control connection, or the time at which its player's host counts as gone."""

    time_s: float
    client: Endpoint
    by_server: bool


class Consent(NamedTuple):
    """A datagram to the server's media port: the token, if it is the right one."""

    time_s: float
    client: Endpoint
    payload: bytes


class Refusal(NamedTuple):
    """ICMP port unreachable from a client: no socket listens on *media* any more."""

    time_s: float
    media: Endpoint


class OtherPacket(NamedTuple):
    """One IP packet that is no datagram of the stream as a whole: a fragment, a TCP segment, anything else."""

    time_s: float
    source: str
    destination: str
    identity: bytes
    """Digest of its number, place and payload: the same packet at another tap has the same identity."""
    is_tcp: bool = False


class Headless(NamedTuple):
    """IP fragments of one packet without the first, which alone has ports: what they belong to is not known."""

    time_s: float
    source: str
    destination: str


class TapFacts(NamedTuple):
    """Everything one tap saw, in the order of time. Built by :class:`flume.lab.evidence.builder.TapFactsBuilder`."""

    tap: Tap
    media: tuple[MediaDatagram, ...] = ()
    starts: tuple[ControlStart, ...] = ()
    messages: tuple[ControlMessage, ...] = ()
    ends: tuple[ControlEnd, ...] = ()
    consents: tuple[Consent, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    sources: frozenset[str] = frozenset()
    """IP addresses from which this tap saw at least one packet."""
    batches: int = 0
    """Captured frames that held several datagrams, because segmentation offload was on at the interface."""
    others: tuple[OtherPacket, ...] = ()
    incomplete: tuple[MediaDatagram, ...] = ()
    """Datagrams of which only the beginning passed: before a client they are lost, behind a server they have left."""
    headless: tuple[Headless, ...] = ()


class Shown(NamedTuple):
    """A new picture was displayed."""

    time_s: float
    number: int | None
    """The one in the test card's barcode; None: it shows none, or none that can be read."""


class GivenUp(NamedTuple):
    """The receiver stopped to wait for the RTP numbers from *first* to *last*, 16 bits each."""

    time_s: float
    first: int
    last: int


class TooLate(NamedTuple):
    """An RTP number arrived at the receiver after it had been given up."""

    time_s: float
    number: int


class PlayerRecord(NamedTuple):
    """What a client says about single frames and datagrams, each in the order of time. Claims, not facts.

    Its times are those of its host's clock, which is the clock of the capture there.
    """

    shown: tuple[Shown, ...] = ()
    given_up: tuple[GivenUp, ...] = ()
    late: tuple[TooLate, ...] = ()


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a client reports about itself. None: it does not say."""

    datagrams: int | None = None
    """Received from the socket, duplicates included."""
    duplicates: int = 0
    late: int | None = None
    """Received after the wait for them had ended, and not played."""
    frames_displayed: int | None = None
    join_ms: float | None = None
    """From the command ``connect`` to the first displayed frame."""
    player: str = "none"
    unsupported: tuple[str, ...] = ()
    """What another player was told and cannot do, each with the reason."""
    record: PlayerRecord | None = None
    """None: it keeps no record of single frames, as windows and other players do not."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Kernel counters for the media towards one subject, over the run. All but the first count datagrams."""

    lost_on_link: int = 0
    """Drops of the shaped link's qdisc, in packets: a datagram that travels in IP fragments is several."""
    control_until_s: float | None = None
    """Control segments pass the shaped link too, and its drops were read at this time. None: they pass beside it."""
    damaged_on_link: int = 0
    """Arrived with a wrong checksum, so that the client's kernel dropped them."""
    dropped_by_firewall: int = 0
    dropped_by_receiver: int = 0
    """Dropped at the receiving socket: its buffer was full."""


class LinkQueue(NamedTuple):
    """How long a datagram takes over a shaped link whose queue is full: what a loss in the queue is told by."""

    period_s: float
    """A link that changes with time does so again after this long, by the wall clock; 0: it does not change."""
    steps: tuple[tuple[float, float | None], ...]
    """From this second of the period on, the delay in milliseconds; None: the link has no rate, and so no queue."""
    ahead_s: float = 0.0
    """By how much the wall clock that the link follows is ahead of the one that shows the times asked for."""

    def full_ms(self, time_s: float) -> float | None:
        """Return the delay at *time_s*, epoch seconds; None where no queue can be full.

        >>> LinkQueue(60, ((0.0, None), (15.0, 120.0))).full_ms(75.5)
        120.0
        """
        at_s = (time_s + self.ahead_s) % self.period_s if self.period_s else 0.0
        passed = [full_ms for from_s, full_ms in self.steps if from_s <= at_s]
        return (passed or [self.steps[-1][1]])[-1]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One client host. *tap* names the capture at its own interface; None: only the server has a tap."""

    name: str
    address: str
    tap: str | None = None
    commands: tuple[str, ...] | None = None
    """The commands it was told to send, in order; None: not planned, so not compared."""
    watches: bool = True
    """Whether it was started with a player; one without counts datagrams alone."""
    program: str = "flume"
    """What runs on it: our own client, a :data:`RELAY`, or another player, which speaks RTSP and says little about
    itself."""
    claims: Claims = Claims()
    counters: Counters = Counters()
    expected: dict[str, Bound] = {}
    """What its scenario expects of it: key of :data:`~flume.lab.trial.figures.FIGURES` → bound."""
    queues: tuple[tuple[float, LinkQueue | None], ...] = ()
    """Of its link, towards it: from when on, epoch seconds, rising. None: the link had no rate then."""

    def full_queue_ms(self, time_s: float) -> float | None:
        """Return the delay of a full queue of its link at *time_s*, epoch seconds; None where none can be full."""
        queue = next((queue for from_s, queue in reversed(self.queues) if from_s <= time_s), None)
        return None if queue is None else queue.full_ms(time_s)

    @property
    def is_flume(self) -> bool:
        """Whether a program of ours runs on it, which speaks our own dialect: the client, or a relay."""
        return self.program in {"flume", RELAY}

    @property
    def is_relay(self) -> bool:
        """Whether it is a relay: a client of one server, and the server of clients of its own."""
        return self.program == RELAY


class Expectations(msgspec.Struct, frozen=True, kw_only=True):
    """What the run has to reach, beside the promises that always hold."""

    loss_max_pct: float = 0.0
    """Beyond what the network under study takes: a firewall, or a link that is to lose. Their counters prove it."""
    link_loses: bool = False
    """The links are shaped to lose datagrams; the lab measures how many before the run."""
    frames_min_pct: float | None = 99.0
    """Frames displayed of those due; None: no client displays frames."""
    join_max_ms: float | None = None
    restarts_s: tuple[float, ...] = ()
    """When the lab restarted the server in mid-stream, in epoch seconds: clients then begin new sessions by themselves.
    """

    def __post_init__(self) -> None:
        """Check every range. Raises :class:`~flume.errors.SettingsError`."""
        check(0 <= self.loss_max_pct <= 100, "loss_max_pct", self.loss_max_pct, "0 to 100 per cent")
        pct = self.frames_min_pct
        check(pct is None or 0 <= pct <= 100, "frames_min_pct", pct, "0 to 100 per cent")
        check(self.join_max_ms is None or self.join_max_ms > 0, "join_max_ms", self.join_max_ms, "above 0 ms")


class Backlog(NamedTuple):
    """The queues in which the engine's kernel keeps packets that pass from one interface to another."""

    dropped: int
    """Packets of the whole host for which there was no room, while the taps captured."""
    limit: int
    """How many packets the queue of one CPU holds (``net.core.netdev_max_backlog``); 0: not known."""


class Evidence(NamedTuple):
    """All that one verdict rests on. Times in the report are relative to *started_s*."""

    started_s: float
    server_tap: str
    taps: tuple[TapFacts, ...]
    subjects: tuple[Subject, ...]
    expectations: Expectations = Expectations()
    backlog: Backlog | None = None
    """None: the kernel's counts are not known."""
    clocks: Mapping[str, HostClock] = MappingProxyType({})
    """Of the taps, by their names, whose host is not the server's; a tap without one was stamped by the same clock."""

    def facts(self, tap: str) -> TapFacts:
        """Return what *tap* saw, or raise :class:`EvidenceError` when there is no such tap."""
        for facts in self.taps:
            if facts.tap.name == tap:
                return facts
        raise EvidenceError(f"no capture named {tap!r}: there are {', '.join(f.tap.name for f in self.taps) or 'none'}")
