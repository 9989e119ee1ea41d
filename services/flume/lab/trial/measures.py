"""What the network did to the video of one client: the figures of a report beside the verdict. Values only.

The judge fills them from captures, counters and what the player reports about the frames that it displayed; claims of
the server are never used. Times are seconds from the run's start, durations milliseconds, unless a name says otherwise.
A figure that could not be had is None, never zero.
"""

import msgspec

from flume.measures.ts.values import StreamFigures


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base: read-only, built by keyword."""


class Spread(_Value, frozen=True, kw_only=True):
    """A distribution by a few of its points; the unit is that of the field that holds it."""

    count: int
    least: float
    median: float
    p95: float
    p99: float
    most: float


class WireFigures(_Value, frozen=True, kw_only=True):
    """The datagrams of all windows as they passed the client's interface, beside those that left the server's."""

    expected: int
    """Left the server within the windows."""
    received: int
    """Of these, passed the client's interface; each once."""
    lost: int
    duplicates: int
    reordered: int
    """Arrived behind a datagram with a higher number (RFC 4737)."""
    loss_runs: dict[int, int]
    """Length of a run of missing datagrams to how often it occurred."""
    longest_run: int
    burst_pct: float | None = None
    """Share of datagrams in bursts that were lost (RFC 3611, Gmin 16)."""
    burst_mean: float | None = None
    """Mean length of a burst in datagrams (RFC 3611)."""
    gap_mean: float | None = None
    """Mean length of a gap between bursts in datagrams (RFC 3611)."""
    jitter_ms: float | None = None
    """Interarrival jitter at the end of the last window (RFC 3550, 6.4.1)."""
    jitter_most_ms: float | None = None
    delay_ms: Spread | None = None
    """From the server's interface to the client's."""
    end_to_end_ms: Spread | None = None
    """From the interface of the first server to the client's, over all relays; None where there is none between."""
    end_to_end_bound_ms: float | None = 0.0
    """How far the clocks of the first server and the client may be apart, as ``clock_bound_ms`` is for these two."""
    clock_bound_ms: float | None = 0.0
    """How far the clocks of the two captures may be apart, on top of each delay: 0 where one kernel stamps both; None
    where that is not known, and no time of one may be compared with one of the other."""
    delay_factor_ms: float | None = None
    """The greatest delay factor of a second (RFC 4445), time-stamped because the rate varies (EBU Tech 3337)."""
    media_loss_rate: float | None = None
    """The greatest number of transport packets lost in one second (RFC 4445)."""
    longest_silence_ms: float | None = None
    """Between two arrivals of one window."""
    peak_kbit: float | None = None
    """The highest rate over 100 ms, of UDP payloads."""


class Freeze(_Value, frozen=True, kw_only=True):
    """A picture that stood still while frames were due."""

    start_s: float
    duration_s: float


class PlaybackFigures(_Value, frozen=True, kw_only=True):
    """What the player displayed, by its own record of each frame."""

    join_ms: float | None
    """From the command ``connect`` to the first frame."""
    resume_ms: list[float]
    """From each ``continue`` to the first frame after it."""
    frames_due: int
    frames_shown: int
    """Of those due; each once."""
    frames_late: int | None = None
    """Shown later than their own time by more than one frame's duration.

    Their own time is that of the stream's clock, with the median of what the pictures of the window are behind it.
    """
    freezes: list[Freeze]
    frozen_pct: float
    """Share of the time in windows that the picture stood still. It begins when the picture first moves: a player shows
    its first picture at once, and the second one when its buffer is full."""
    glass_to_glass_ms: Spread | None = None
    """From a frame's first datagram at the server's interface to the frame on the screen, by the burnt-in counter.

    Behind relays it is the interface of the first server.
    """


class Attribution(_Value, frozen=True, kw_only=True):
    """Where the frames that were due and not shown were lost. ``missing`` is the sum of all others."""

    missing: int
    upstream: int = 0
    """A datagram of it was lost before the client's relay sent it, or by the relay."""
    link: int = 0
    """A datagram of the frame was lost or damaged at random on the shaped link."""
    queue: int = 0
    """A datagram of it was dropped because the link's queue was full."""
    host: int = 0
    """A datagram of it was dropped by the engine's own kernel."""
    firewall: int = 0
    receiver: int = 0
    """A datagram of it was dropped by the client's kernel, at the socket."""
    late: int = 0
    """A datagram of it came too late for the jitter buffer."""
    decoder: int = 0
    """All of it reached the client's program in time; the player did not show it."""
    by: str = "numbers"
    """How the frames were told apart: by the numbers in the pictures, or only by ``counts``."""
    unclear: int = 0
    """Pictures whose number cannot be read: which frames they are was found by their time."""
    extra: int = 0
    """Pictures that are no frame of their own, such as one that was drawn over in part."""
    misfits: int = 0
    """Pictures with a number that no frame has which was sent by then and not yet displayed: damaged, or a fault."""


class Quality(_Value, frozen=True, kw_only=True):
    """One measure of the pictures shown, beside those sent."""

    mean: float
    p5: float
    """The fifth percentile: one frame in twenty was worse."""
    least: float


class PictureFigures(_Value, frozen=True, kw_only=True):
    """The frames that could be decoded from what reached the player, beside the frames sent."""

    compared: int
    identical: int
    """Of these, equal to the frame sent in every pixel."""
    not_decodable: int
    """Sent, and not in the decoder's output: they have no quality and are part of no mean."""
    counters_read: int = 0
    """Of those compared, frames whose burnt-in counter can be read, in the frame sent and in the frame shown."""
    counters_differ: int = 0
    """Of these, frames that show another number: mostly an older picture, with which the decoder filled a gap."""
    vmaf: Quality | None = None
    ssim: Quality | None = None
    psnr_db: Quality | None = None
    """Identical frames count as 100 dB."""
    xpsnr_db: Quality | None = None
    worst_s: float | None = None
    """When the frame with the lowest VMAF was sent."""
    worst_sent: str | None = None
    """That frame as it was sent: the name of a picture file beside the report."""
    worst_shown: str | None = None
    """What could be decoded of it."""


class Series(_Value, frozen=True, kw_only=True):
    """The time lines of one client: a value for each ``bin_s`` from the run's start."""

    bin_s: float
    rate_kbit: list[float]
    """At the client's interface, of UDP payloads."""
    lost_link: list[int]
    """Datagrams, by when they left the server; the same for the next ones."""
    lost_queue: list[int]
    lost_host: list[int]
    lost_beyond: list[int]
    """Arrived at the interface and were lost behind it: firewall, receiver's kernel, too late."""
    delay_ms: list[float | None]
    """Median of the datagrams that arrived; None where none did."""
    shown: list[int]
    """Frames displayed."""
    lost_upstream: list[int] = []
    """Lost before the client's relay sent them, by when it would have; empty where its server is no relay."""
    vmaf: list[float | None] = []
    """The lowest of the frames sent in this bin; None where none was compared."""


class Measures(_Value, frozen=True, kw_only=True):
    """All of them. A part that was not measured is None."""

    wire: WireFigures | None = None
    stream: StreamFigures | None = None
    playback: PlaybackFigures | None = None
    attribution: Attribution | None = None
    pictures: PictureFigures | None = None
    series: Series | None = None
    not_measured: dict[str, str] = {}
    """Why a part is None, or lacks a figure: the name of its field to the reason."""
