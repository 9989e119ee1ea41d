"""Verdicts, and the judge's report: the content of ``report.json``. Values only.

Times are seconds from the run's start unless the name says otherwise. A change that removes or renames a field
raises :data:`REPORT_VERSION`. ``docs/judge.md`` explains a report to its reader.
"""

import enum
from collections.abc import Iterable

import msgspec

from flume.lab.evidence.clock import HostClock
from flume.lab.trial.measures import Measures

REPORT_VERSION = 1
SERVER = "server"
"""The name of the server that reads the source, in a report: the first of all."""
BIN_S = 0.1
"""Width of a column in the time lines, in seconds."""


class Verdict(enum.StrEnum):
    """In this order, the worst last. The worst verdict of all checks is the verdict of the run."""

    PASS = "PASS"  # noqa: S105 - not a secret
    UNSUPPORTED = "UNSUPPORTED"
    """This machine, or another player, cannot do what the run asks for; the rest is proved."""
    FAIL = "FAIL"
    """The product broke a promise."""
    ERROR = "ERROR"
    """The evidence is missing or cannot be trusted: nothing is known about the product."""

    @property
    def exit_code(self) -> int:
        """Exit status of the command-line program."""
        return {"PASS": 0, "FAIL": 1, "ERROR": 3, "UNSUPPORTED": 4}[self]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of *verdicts*; without any it is ERROR, because nothing was examined.

    >>> worst([Verdict.FAIL, Verdict.PASS])
    <Verdict.FAIL: 'FAIL'>
    """
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.ERROR)


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base: read-only, built by keyword."""


class Check(_Value, frozen=True, kw_only=True):
    """One examined statement. *subject* is the name of a client or a tap, or ``run``.

    Where there are relays, what would be of the ``run`` alone is of one server, by its name.
    """

    name: str
    verdict: Verdict
    subject: str
    detail: str


class Balance(_Value, frozen=True, kw_only=True):
    """The account of the datagrams towards one client, or towards all.

    sent = received + lost_on_link + damaged_on_link + dropped_by_firewall + dropped_by_receiver + dropped_by_backlog
    + unexplained.
    """

    sent: int = 0
    """Left the server's interface."""
    received: int = 0
    """Reached the client's program, each once."""
    lost_on_link: int = 0
    damaged_on_link: int = 0
    dropped_by_firewall: int = 0
    dropped_by_receiver: int = 0
    dropped_by_backlog: int = 0
    """Dropped by the engine's own kernel, in its queue between two interfaces."""
    unexplained: int = 0

    def __add__(self, other: "Balance") -> "Balance":
        """Add field by field."""
        return Balance(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class CommandReport(_Value, frozen=True, kw_only=True):
    """One command as it reached the server's interface."""

    time_s: float
    command: str
    answer: str | None
    """``ok``, the code of the refusal, or None when the capture holds no answer."""
    answer_ms: float | None


class Timeline(_Value, frozen=True, kw_only=True):
    """Datagrams per :data:`BIN_S`, from the run's start."""

    bin_s: float
    sent: list[int]
    leaked: list[int]


class ClientReport(_Value, frozen=True, kw_only=True):
    """One client. *player* is the kind of player that displayed the video, as the client reports it.

    *program* is what ran on it: ``flume``, or another player.
    """

    name: str
    address: str
    server: str = SERVER
    """What sends to it: the server, or the relay of this name, which is a client of another one."""
    verdict: Verdict
    commands: list[CommandReport]
    active_windows: list[tuple[float, float]]
    """When the server was allowed to send to this client, by the captured commands and replies."""
    datagrams_active: int
    """Datagrams that reached the client's interface (without a tap there: left the server's) within the windows."""
    datagrams_leaked: int
    """Datagrams that left the server for this client outside the windows."""
    leak_reasons: dict[str, int]
    datagrams_lost: int
    """Datagrams that left the server and did not reach the client's program, for any reason."""
    datagrams_lost_upstream: int = 0
    """Datagrams of its windows that its server, a relay, never had: lost before it, so they never left for this client.

    They are not among ``datagrams_lost``, nor in its account.
    """
    loss_pct: float
    join_ms: float | None
    """From the command ``connect`` to the first displayed frame, as the client reports it."""
    first_datagram_ms: float | None
    """From the command ``connect`` to the first datagram, from the capture nearest to the client."""
    frames_due: int
    """Video frames that were surely sent in full within the windows, and arrived in full at the client's tap."""
    frames_cut: int
    """The other video frames that began in the windows: on the way when a window ended, or a datagram of them was lost.

    They may be displayed, whole, in part or with errors, and need not be.
    """
    frames_displayed: int | None
    player: str
    program: str = "flume"
    balance: Balance
    timeline: Timeline
    measures: Measures = Measures()


class TapReport(_Value, frozen=True, kw_only=True):
    """One capture."""

    name: str
    interface: str
    path: str
    packets: int
    dropped_by_kernel: int
    batches: int
    duration_s: float
    problem: str | None
    clock: HostClock | None = None
    """Of its host, with which the file is stamped; None: that of the server's host. The report's times are on that."""


class LinkFigure(_Value, frozen=True, kw_only=True):
    """One figure of one direction of a client's link, as the lab set it and as it measured it before the run."""

    client: str
    direction: str
    """down (to the client) or up."""
    figure: str
    """What it is, with its unit."""
    configured: str
    measured: str
    problem: str | None = None
    """Why the two do not agree; None when they do."""
    first_problem: str | None = None
    """Why they did not agree in a first measurement, where this is the second."""


class Network(_Value, frozen=True, kw_only=True):
    """The network between server and clients; the report has none where no link was shaped."""

    profile: str
    description: str = ""
    figures: list[LinkFigure] = []


class HostLink(_Value, frozen=True, kw_only=True):
    """The datagrams of the stream that left one host of the lab for another."""

    source: str
    destination: str
    datagrams: int
    bytes: int
    """Of the datagrams' payloads: UDP payloads, RTP header included."""


class RunFacts(_Value, frozen=True, kw_only=True):
    """What the runner knows about the run; it goes into the report unchanged."""

    run: str
    engine: dict[str, object] = {}
    timings: dict[str, float] = {}
    """Seconds that each step took, in order."""
    scenario: dict[str, object] = {}
    network: Network | None = None
    hosts: dict[str, str] = {}
    """Name of a tap to the name of the host whose interface it is; empty: all of them are one."""


class Report(_Value, frozen=True, kw_only=True):
    """The whole report."""

    verdict: Verdict
    run: str
    started: str
    """ISO 8601, UTC."""
    duration_s: float
    engine: dict[str, object]
    scenario: dict[str, object]
    clients: list[ClientReport]
    balance: Balance
    """Of all clients. What a relay passes on is sent once more, so it counts at each server that sends it."""
    checks: list[Check]
    timings: dict[str, float]
    taps: list[TapReport]
    network: Network | None = None
    balances: dict[str, Balance] = {}
    """Name of a server to the account of its own clients, where there are relays; they add up to ``balance``."""
    host_links: list[HostLink] = []
    """What crossed from host to host, where the run had several."""
    version: int = REPORT_VERSION
