"""A run as a person asked for it, checked before anything is started; and the plan that follows from the engine.

>>> from flume.lab.run.scenario import Part, Scenario
>>> scenario = Scenario(description="", duration_s=5, part=(Part(name="watch", commands="connect"),))
>>> plan_run(RunSpec(clients=5, scenario=scenario), cpus=2).players
5
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.errors import SettingsError
from flume.lab.containers import topology
from flume.lab.evidence.facts import Expectations
from flume.lab.link.profile import Direction, Profile
from flume.lab.run.programs import DEFAULTS, OURS, TRANSPORTS, ClientOptions, Program, deal
from flume.lab.run.scenario import Scenario
from flume.lab.testcard import CARD, TestCard
from flume.settings import check

MAX_CLIENTS = 200

FRAMES_MIN_PCT = 80.0
"""Share of the test card's frames which arrived in full that a client must display. An idle computer displays 99 % and
more; below 80 % no viewer would call it watching, on any computer. Over links that lose, a player also displays frames
with errors, which count too."""

CLEAN = Profile(
    name="clean", description="What the engine's own network does, unshaped.", down=Direction(), up=Direction()
)

CORES_A_PLAYER = 0.2
"""CPU time of a client that decodes the test card in software, with its share of the server: 15 to 19 % of a core, and
1.4 %."""

OVERHEAD = 1.15
"""Rate on the wire over the rate of the pictures alone: audio, transport packets, and the headers of four layers."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. Raises :class:`SettingsError` that names the key."""

    clients: int
    scenario: Scenario
    lab: str = "default"
    video: Path | None = None
    """None: the test card."""
    players: int | None = None
    """Number of clients, the first ones, that display the video; the others count datagrams. None: all."""
    programs: tuple[Program, ...] = (OURS,)
    """What the clients run, dealt out in turn: flume's client, or other people's players."""
    frames_min_pct: float | None = None
    """Share of the frames due that must be displayed. None: the plan decides."""
    profile: Profile = CLEAN
    artifacts: Path = Path("artifacts")
    later_profiles: dict[str, Profile] = {}
    """The networks that the scenario's events name."""
    card: TestCard = CARD
    """The test card, where there is no video."""
    client_options: ClientOptions = DEFAULTS
    """Settings of flume's own clients."""
    topology: Path | None = None
    """Another description of the services than ``compose/lab.yaml``: other images, other options."""

    def __post_init__(self) -> None:
        """Check everything that needs no engine."""
        check(1 <= self.clients <= MAX_CLIENTS, "clients", self.clients, f"1 to {MAX_CLIENTS}")
        players = self.clients if self.players is None else self.players
        check(0 <= players <= self.clients, "players", self.players, f"0 to {self.clients}, the number of clients")
        check(bool(self.programs), "players", "none", "at least one name")
        foreign = any(not program.is_flume for program in self.dealt)
        check(self.players is None or not foreign, "players", self.players, "names or a number, not both")
        topology.check_lab_name(self.lab)
        _check_settings(self.card, self.client_options)
        _check_events(self)
        if self.video is not None:
            allowed = "a file, not a folder" if self.video.is_dir() else "a file that exists"
            check(self.video.is_file(), "video", str(self.video), f"{allowed}; give the path of your video")
            check(self.video.stat().st_size > 0, "video", str(self.video), "not an empty file: this one has 0 bytes")

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """All networks of the run: the first one, then those of the scenario's events."""
        return (self.profile, *(self.later_profiles[e.profile] for e in self.scenario.event if e.profile is not None))

    @property
    def needs_netem(self) -> bool:
        """Whether any of its networks does."""
        return any(profile.needs_netem for profile in self.profiles)

    @property
    def restarts(self) -> int:
        """How often the scenario restarts the server."""
        return sum(event.server == "restart" for event in self.scenario.event)

    @property
    def dealt(self) -> tuple[Program, ...]:
        """The program of each client, in the order of their numbers."""
        return deal(self.clients, self.programs, [part.player for part in self.scenario.part])


def shaping_media(profile: Profile, options: ClientOptions) -> Profile:
    """Return *profile* as it acts on the media: over TCP they are on the control connection, which is then shaped."""
    if options.transport != "tcp" or not profile.control_exempt:
        return profile
    return msgspec.structs.replace(profile, control_exempt=False)


def _check_events(spec: RunSpec) -> None:
    for event in spec.scenario.event:
        known = event.profile is None or event.profile in spec.later_profiles
        check(known, "event.profile", event.profile, f"one of {', '.join(spec.later_profiles) or 'none'}")
        beyond = [client for client in event.clients if client > spec.clients]
        check(not beyond, "event.clients", beyond, f"1 to {spec.clients}, the number of clients")


def _check_settings(card: TestCard, options: ClientOptions) -> None:
    check(500 <= card.bitrate_kbit <= 50_000, "bit_rate", card.bitrate_kbit, "500 to 50000 kbit/s")
    check(0.2 <= card.gop_s <= 20, "gop", card.gop_s, "0.2 to 20 seconds from keyframe to keyframe")
    known = options.transport in {None, *TRANSPORTS}
    check(known, "transport", options.transport, f"one of {', '.join(TRANSPORTS)}")
    waits = options.reorder_ms is None or 0 <= options.reorder_ms <= 5000
    check(waits, "reorder", options.reorder_ms, "0 to 5000 milliseconds")


class RunPlan(NamedTuple):
    """How a run is carried out on the engine that it was given."""

    players: int
    """Number of clients, the first ones, that display the video."""
    expectations: Expectations
    note: str
    """What a person should know before the run; empty when nothing is unusual."""


def plan_run(spec: RunSpec, *, cpus: int) -> RunPlan:
    """Return the plan of *spec* for an engine with *cpus* CPUs. A value in the spec is never changed."""
    players = spec.clients if spec.players is None else spec.players
    narrow = spec.video is None and any(_is_too_narrow(profile, spec.card) for profile in spec.profiles)
    expectations = Expectations(
        frames_min_pct=_frames_min_pct(spec, narrow=narrow),
        link_loses=any(map(_may_lose, spec.profiles)),
    )
    return RunPlan(players, expectations, " ".join(_notes(spec, players, cpus=cpus, narrow=narrow)))


def _frames_min_pct(spec: RunSpec, *, narrow: bool) -> float | None:
    """Frames are required of the test card alone, and only over links that carry its rate.

    A video of a person's own may have frames that look the same, which are counted as one.
    """
    if spec.frames_min_pct is not None:
        return spec.frames_min_pct
    if spec.video is not None or narrow:
        return None
    return FRAMES_MIN_PCT


def _notes(spec: RunSpec, players: int, *, cpus: int, narrow: bool) -> Iterator[str]:
    if (cores := players * CORES_A_PLAYER) >= cpus:
        yield (
            f"{players} players need {cores:.1f} CPUs or more, and this engine has {cpus}: frames may be late. "
            "With --players N the first N clients display the video, and the others count datagrams."
        )
    if narrow:
        yield f"Profile {spec.profile.name} carries less than the {spec.card.bitrate_kbit} kbit/s of the video."


def _downs(profile: Profile) -> tuple[Direction, ...]:
    return tuple(step.down for step in profile.timeline())


def _may_lose(profile: Profile) -> bool:
    """Whether datagrams towards a client may be lost: at random, by damage, or at a bottleneck."""
    return any(down.loss_pct or down.corrupt_pct or down.rate_kbit is not None for down in _downs(profile))


def _is_too_narrow(profile: Profile, card: TestCard) -> bool:
    rates = [down.rate_kbit for down in _downs(profile) if down.rate_kbit is not None]
    return bool(rates) and min(rates) < card.bitrate_kbit * OVERHEAD


def parse_clients(text: str) -> int:
    """Return the number of clients in *text*; raises :class:`SettingsError` for anything that is not a number."""
    try:
        return int(text)
    except ValueError:
        raise SettingsError("clients", text, f"a number from 1 to {MAX_CLIENTS}") from None


def parse_duration_s(text: str) -> float:
    """Return the seconds in *text*; raises :class:`SettingsError` for anything that is not a number."""
    try:
        return float(text)
    except ValueError:
        raise SettingsError("duration", text, "a number of seconds, such as 60") from None
