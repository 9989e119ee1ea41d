"""One direction of a link as ``tc`` commands, and ``tc``'s answer compared with that direction. Pure.

Each shaped interface has one tree of qdiscs, whose shape never changes while the lab lives::

    root prio 1:   bands 3
    ├── 1:1        control TCP where it is exempt, and ARP (a real path has no ARP between its two ends)
    ├── 1:2        everything else ── netem 10:
    └── 1:3        instead of 1:2 where the rate changes with time ── netem 30: ── tbf 31:

``replace`` with the same handles changes each part in place: no queued datagram is lost and no counter is reset.
Nothing is ever deleted, because its queue would be deleted with it; so 1:2 and 1:3 have a netem each, and the
``priomap`` of the root chooses. ``change`` keeps the old value of an option that is left out, so every command states
all options.
"""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from flume.errors import EvidenceError
from flume.lab.link.profile import Bucket, Direction, Profile
from flume.settings import DEFAULT_PORT

Command = tuple[str, ...]
"""A program and its arguments."""

ROOT, CONTROL_BAND, MEDIA_BAND, NETEM = "1:", "1:1", "1:2", "10:"
PACED_BAND, PACED_NETEM, BUCKET_PARENT, BUCKET = "1:3", "30:", "30:1", "31:"
"""For a direction with a token bucket. The bucket is netem's child: netem delays, then the bucket sets the rate."""
ORDER_RATE_KBIT = 100_000_000
"""The rate of a direction that has no rate and keeps the order: only with a rate does netem queue a datagram behind the
one before it. At 100 Gbit/s a full datagram takes 0.1 µs, less than the resolution of any timer here."""

_OURS = {("prio", ROOT), ("netem", NETEM), ("netem", PACED_NETEM), ("tbf", BUCKET)}
_ARP_PREFERENCE, _CONTROL_PREFERENCE = "10", "20"


def set_commands(
    interface: str, direction: Direction, *, control_port: int = DEFAULT_PORT, exempt: bool = True
) -> tuple[Command, ...]:
    """Return the commands that shape *interface* by *direction*, whatever its shape was before.

    *exempt*: control TCP on *control_port* passes beside netem. Its filters come before netem, so that netem never sees
    a control segment.
    """
    media, number = (MEDIA_BAND, "1") if direction.bucket is None else (PACED_BAND, "2")
    band = CONTROL_BAND if exempt else media
    root = ("tc", "qdisc", "replace", "dev", interface, "root", "handle", ROOT, "prio", "bands", "3")
    return (
        (*root, "priomap", *(number,) * 16),
        _filter(interface, "arp", _ARP_PREFERENCE, "1", CONTROL_BAND),
        _filter(interface, "ip", _CONTROL_PREFERENCE, "1", band, "ip_proto", "tcp", "src_port", str(control_port)),
        _filter(interface, "ip", _CONTROL_PREFERENCE, "2", band, "ip_proto", "tcp", "dst_port", str(control_port)),
        *rate_commands(interface, direction),
    )


def rate_commands(interface: str, direction: Direction) -> tuple[Command, ...]:
    """Return the commands that set *direction* on an *interface* that already has its tree: netem, and its bucket."""
    bucket = direction.bucket
    place = ("tc", "qdisc", "replace", "dev", interface, "parent")
    if bucket is None:
        return ((*place, MEDIA_BAND, "handle", NETEM, "netem", *netem_arguments(direction)),)
    size = ("burst", str(bucket.burst_bytes), "limit", str(direction.queue_room_bytes))
    return (
        (*place, PACED_BAND, "handle", PACED_NETEM, "netem", *netem_arguments(direction.delay_line)),
        (*place, BUCKET_PARENT, "handle", BUCKET, "tbf", "rate", f"{_bits(bucket.token_kbit)}bit", *size),
    )


def netem_arguments(direction: Direction) -> tuple[str, ...]:
    """Return every option of netem, unused ones too: an option that is left out would keep its old value.

    >>> netem_arguments(Direction(delay_ms=20))[2:4]
    ('delay', '20000us')
    """
    return (
        *("limit", str(direction.limit_datagrams)),
        *_delay(direction),
        *_loss(direction),
        *("duplicate", _percent(direction.duplicate_pct), "corrupt", _percent(direction.corrupt_pct)),
        *("reorder", _percent(direction.reorder_pct)),
        *("rate", f"{_bits(effective_rate_kbit(direction))}bit"),
    )


def step_commands(interface: str, profile: Profile, name: str) -> tuple[tuple[float, tuple[Command, ...]], ...]:
    """Return (seconds after the beginning of a period, commands) wherever one direction changes.

    *name* is ``down`` or ``up``. The interface must have its tree (:func:`set_commands` with the values at rest). Only
    qdiscs that differ between steps are set: netem has nothing to do where the rate alone changes. The table of a
    distribution that stays is left out, because it takes longer than all the rest: netem keeps it.
    """
    rest = rate_commands(interface, getattr(profile, name))
    changes = [(at_s, rate_commands(interface, values)) for at_s, values in profile.changes(name)]
    if len({_table(commands[0]) for commands in (rest, *(commands for _, commands in changes))}) == 1:
        rest = (_without_table(rest[0]), *rest[1:])
        changes = [(at_s, (_without_table(netem), *others)) for at_s, (netem, *others) in changes]
    varied = [any(commands[at] != command for _, commands in changes) for at, command in enumerate(rest)]
    return tuple((at_s, tuple(itertools.compress(commands, varied))) for at_s, commands in changes if any(varied))


def _table(netem: Command) -> Command:
    """Return the words that name the table of a distribution; none without jitter."""
    return netem[netem.index("distribution") :][:2] if "distribution" in netem else ()


def _without_table(netem: Command) -> Command:
    table = _table(netem)
    at = netem.index("distribution") if table else 0
    return netem[:at] + netem[at + len(table) :]


def _filter(interface: str, protocol: str, preference: str, handle: str, band: str, *keys: str) -> Command:
    place = ("tc", "filter", "replace", "dev", interface, "parent", ROOT, "protocol", protocol, "prio", preference)
    return (*place, "handle", handle, "flower", *keys, "classid", band)


def _delay(direction: Direction) -> tuple[str, ...]:
    if not direction.jitter_ms:
        return ("delay", _milliseconds(direction.delay_ms))
    delay, jitter = _milliseconds(direction.delay_ms), _milliseconds(direction.jitter_ms)
    return ("delay", delay, jitter, "distribution", direction.distribution)


def _loss(direction: Direction) -> tuple[str, ...]:
    if direction.loss_burst_datagrams is None:
        return ("loss", "random", _percent(direction.loss_pct))
    begin, end = _percent(direction.burst_begin_pct), _percent(direction.burst_end_pct)
    # 1-h = 100 %: every datagram in a burst is lost. 1-k = 0 %: no datagram between two bursts is lost.
    return ("loss", "gemodel", begin, end, "100%", "0%")


def effective_rate_kbit(direction: Direction) -> float:
    """Return netem's rate: the profile's, or :data:`ORDER_RATE_KBIT` to keep the order, or 0 for none."""
    if direction.rate_kbit is not None:
        return direction.rate_kbit
    return 0 if direction.jitter_reorders else ORDER_RATE_KBIT


def _milliseconds(value_ms: float) -> str:
    return f"{round(value_ms * 1000)}us"


def _bits(rate_kbit: float) -> int:
    return math.floor(rate_kbit * 1000 + 0.5)


def _percent(value_pct: float) -> str:
    return f"{value_pct:.6f}".rstrip("0").rstrip(".") + "%"


class LinkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """netem's own counters on one interface since its tree was made."""

    sent_packets: int
    sent_bytes: int
    drops: int
    """Lost on purpose, and lost because the queue was full: the kernel has one counter for both."""
    queued_packets: int


def counters(tc_json: str | bytes) -> LinkCounters:
    """Read netem's counters from ``tc -s -j qdisc show dev …``. Raises :class:`EvidenceError` without a netem."""
    netems = [entry for entry in _entries(tc_json) if entry.get("kind") == "netem"]
    if not netems:
        raise EvidenceError("reading the counters of a link: the interface has no netem; set its profile again")
    sums = (sum(entry[key] for entry in netems) for key in ("packets", "bytes", "drops", "qlen"))
    return LinkCounters(**dict(zip(LinkCounters.__struct_fields__, sums, strict=True)))


def check_readback(tc_json: str | bytes, *allowed: Direction) -> list[str]:
    """Compare ``tc -j qdisc show dev …`` with each of *allowed*; return the differences in words from the nearest.

    Either all of *allowed* have a token bucket or none has: they are the steps of one link, and the values at rest.
    ``tc`` prints fractions with six digits and the kernel keeps percentages in units of 1/2³²; figures are compared
    with that precision. Raises :class:`EvidenceError` where the text is not tc's JSON.
    """
    entries = _entries(tc_json)
    problems = [
        f"the interface has a qdisc that is not ours: {entry.get('kind')} {entry.get('handle')}"
        for entry in entries
        if (entry.get("kind"), entry.get("handle")) not in _OURS
    ]
    root = _find(entries, "prio", ROOT)
    if root is None or not root.get("root"):
        problems.append(f"the root is not prio {ROOT}")
    paced = allowed[0].bucket is not None
    band, handle, number = (PACED_BAND, PACED_NETEM, 2) if paced else (MEDIA_BAND, NETEM, 1)
    if root is not None and root.get("options", {}).get("priomap") != [number] * 16:
        problems.append(f"the root does not send everything to {band}")
    netem, bucket = _find(entries, "netem", handle), _find(entries, "tbf", BUCKET)
    if netem is None or netem.get("parent") != band:
        return [*problems, f"no netem {handle} under {band}"]
    problems += _nearest(_seen(netem.get("options", {})), map(_wanted, {values.delay_line for values in allowed}))
    if not paced:
        return problems
    if bucket is None or bucket.get("parent") != BUCKET_PARENT:
        problems.append(f"no tbf {BUCKET} under {BUCKET_PARENT}")
    else:
        wanted = (_wanted_bucket(values, values.bucket) for values in set(allowed) if values.bucket is not None)
        problems += _nearest(_seen_bucket(bucket.get("options", {})), wanted)
    return problems


def _nearest(seen: Mapping[str, float], candidates: Iterable[Mapping[str, float]]) -> list[str]:
    return min((_differences(seen, wanted) for wanted in candidates), key=len)


def _differences(seen: Mapping[str, float], wanted: Mapping[str, float]) -> list[str]:
    # tc counts times in ticks of one microsecond and rounds down; it prints all other figures with six digits. It keeps
    # the size of a bucket as a time too.
    tick_s = 2e-6
    slack = {name: tick_s for name in wanted if name.endswith("_s")}
    slack["burst_bytes"] = 1 + tick_s * wanted.get("token_bytes", 0)
    return [
        f"{name} is {seen.get(name, 0.0):g} and should be {value:g}"
        for name, value in wanted.items()
        if not math.isclose(seen.get(name, 0.0), value, rel_tol=1e-5, abs_tol=slack.get(name, 1e-8))
    ]


def check_filters(tc_json: str | bytes, *, control_port: int = DEFAULT_PORT, exempt: bool = True) -> list[str]:
    """Compare ``tc -j filter show dev … parent 1:`` with :func:`set_commands`; return the differences in words."""
    band = CONTROL_BAND if exempt else MEDIA_BAND
    wanted = {("arp", None, None, CONTROL_BAND), ("ip", control_port, None, band), ("ip", None, control_port, band)}
    seen = set()
    for entry in _entries(tc_json):
        if "options" in entry:
            keys = entry["options"].get("keys", {})
            ports = keys.get("src_port"), keys.get("dst_port")
            seen.add((entry.get("protocol"), *ports, entry["options"].get("classid")))
    return [f"a filter is missing: {row}" for row in sorted(wanted - seen, key=str)] + [
        f"a filter that is not ours: {row}" for row in sorted(seen - wanted, key=str)
    ]


def _entries(tc_json: str | bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(tc_json)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"reading a qdisc back: {error} in what tc printed: {str(tc_json)[:120]!r}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise EvidenceError(f"reading a qdisc back: not a list of qdiscs: {str(tc_json)[:120]!r}")
    # For an interface that is down or has no qdisc, tc prints an empty object.
    return [entry for entry in entries if entry]


def _find(entries: Sequence[dict[str, Any]], kind: str, handle: str) -> dict[str, Any] | None:
    return next((entry for entry in entries if (entry.get("kind"), entry.get("handle")) == (kind, handle)), None)


def _wanted_bucket(direction: Direction, bucket: Bucket) -> dict[str, float]:
    """Return the expected figures of the token bucket; the part of its queue beyond the burst is sent in *queue_s*."""
    token_bytes = _bits(bucket.token_kbit) // 8
    queue_s = (direction.queue_room_bytes - bucket.burst_bytes) / token_bytes
    return {"token_bytes": token_bytes, "burst_bytes": bucket.burst_bytes, "queue_s": queue_s}


def _seen_bucket(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the same figures from tbf's options; *lat* is in microseconds."""
    return {
        "token_bytes": options.get("rate", 0),
        "burst_bytes": options.get("burst", 0),
        "queue_s": options.get("lat", 0) / 1e6,
    }


def _wanted(direction: Direction) -> dict[str, float]:
    """Return the expected figures in netem's units: seconds, fractions of 1, bytes a second."""
    burst = direction.loss_burst_datagrams is not None
    return {
        "limit": direction.limit_datagrams,
        "delay_s": direction.delay_ms / 1000,
        "jitter_s": direction.jitter_ms / 1000,
        "loss": 0.0 if burst else direction.loss_pct / 100,
        "p": direction.burst_begin_pct / 100 if burst else 0.0,
        "r": direction.burst_end_pct / 100 if burst else 0.0,
        "duplicate": direction.duplicate_pct / 100,
        "corrupt": direction.corrupt_pct / 100,
        "reorder": direction.reorder_pct / 100,
        "rate_bytes": effective_rate_kbit(direction) * 125,
    }


def _seen(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the same figures from netem's options; tc's answer has no unused options."""
    found = {
        "limit": options.get("limit"),
        "delay_s": options.get("delay", {}).get("delay"),
        "jitter_s": options.get("delay", {}).get("jitter"),
        "loss": options.get("loss-random", {}).get("loss"),
        "p": options.get("loss-gemodel", {}).get("p"),
        "r": options.get("loss-gemodel", {}).get("r"),
        "duplicate": options.get("duplicate", {}).get("duplicate"),
        "corrupt": options.get("corrupt", {}).get("corrupt"),
        "reorder": options.get("reorder", {}).get("reorder"),
        "rate_bytes": options.get("rate", {}).get("rate"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}
