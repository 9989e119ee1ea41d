"""What a person asked for, checked before anything is started, and what follows from the engine it runs on."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from flume.errors import SettingsError
from flume.lab.containers import topology
from flume.lab.engines.decision import Wish
from flume.lab.evidence.facts import Expectations
from flume.lab.link.profile import Direction, Profile
from flume.lab.run.scenario import Scenario
from flume.lab.testcard import CARD, SMALL_CARD, TestCard
from flume.settings import check

MAX_CLIENTS = 200

FRAMES_MIN_PCT = 80.0
"""Of the test card over links without loss: an idle machine shows 99 % and more; below this nobody would say that a
client watches, whatever the machine."""
PICTURE_MIN_PCT = 5.0
"""Where links lose, or one processor does everything: a picture at all. One lost datagram in a hundred costs a player
that conceals nothing nearly all frames of a group of pictures."""


CLEAN = Profile(
    name="clean", description="What the engine's own network does, unshaped.", down=Direction(), up=Direction()
)


OVERHEAD = 1.15
"""Of what is on the wire over the picture's own rate: sound, transport packets, and the headers of four layers."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a person asked for."""

    clients: int
    scenario: Scenario
    lab: str = "default"
    video: Path | None = None
    players: int | None = None
    """How many clients show the video, the first ones; the others count datagrams. None: what the engine can carry."""
    frames_min_pct: float | None = None
    """Of the frames due, how many must be displayed. None: what can be expected of test card, links and engine."""
    profile: Profile = CLEAN
    engine: Wish = "auto"
    artifacts: Path = Path("artifacts")
    topology: Path | None = None
    """Another description of the services than ``compose/lab.yaml``: images of your own, other options."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is started."""
        check(1 <= self.clients <= MAX_CLIENTS, "clients", self.clients, f"1 to {MAX_CLIENTS}")
        most = self.clients if self.players is None else self.players
        check(0 <= most <= self.clients, "players", self.players, f"0 to {self.clients}, the number of clients")
        topology.check_lab_name(self.lab)
        if self.video is not None:
            allowed = "a file, not a folder" if self.video.is_dir() else "a file that exists"
            check(self.video.is_file(), "video", str(self.video), f"{allowed}; give the path of your video")
            check(self.video.stat().st_size > 0, "video", str(self.video), "not an empty file: this one has 0 bytes")


class Plan(NamedTuple):
    """What follows from an order and the engine it will run on."""

    players: int
    """How many clients show the video, the first ones."""
    card: TestCard
    """The test card, where there is no video."""
    expectations: Expectations
    note: str
    """What a person should know about it; empty when nothing is unusual."""


def plan(order: Order, *, cpus: int) -> Plan:
    """Return how *order* is carried out by an engine with *cpus* processors."""
    single = cpus == 1
    players = min(order.clients, 1 if single else order.clients) if order.players is None else order.players
    card = SMALL_CARD if single else CARD
    narrow = order.video is None and _is_too_narrow(order.profile, card)
    notes = []
    if single and order.players is None and order.clients > 1:
        notes.append("This engine has one processor: client 1 shows the video, the others count datagrams (--players).")
    if narrow:
        notes.append(f"Profile {order.profile.name} carries less than the {card.bitrate_kbit} kbit/s of the video.")
    least = order.frames_min_pct
    if least is None and order.video is None and not narrow:
        least = PICTURE_MIN_PCT if single or order.profile.needs_netem else FRAMES_MIN_PCT
    expectations = Expectations(frames_min_pct=least, link_loses=_may_lose(order.profile))
    return Plan(players, card, expectations, " ".join(notes))


def _downs(profile: Profile) -> tuple[Direction, ...]:
    return tuple(step.down for step in profile.timeline())


def _may_lose(profile: Profile) -> bool:
    """Whether datagrams on the way to a client may be lost: by chance, by damage, or at a bottleneck."""
    return any(down.loss_pct or down.corrupt_pct or down.rate_kbit is not None for down in _downs(profile))


def _is_too_narrow(profile: Profile, card: TestCard) -> bool:
    rates = [down.rate_kbit for down in _downs(profile) if down.rate_kbit is not None]
    return bool(rates) and min(rates) < card.bitrate_kbit * OVERHEAD


def parse_clients(text: str) -> int:
    """Return the number of clients in *text*; raises :class:`SettingsError` for anything that is not one."""
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
