"""The table of profiles in ``netem/README.md``, made from the profile files: ``python -m flume.lab.link.table``."""

from collections.abc import Sequence

from flume import generated
from flume.generated import GeneratedPart
from flume.lab import catalogue, checkout
from flume.lab.link.profile import Direction, Profile, Step
from flume.lab.link.profile_file import find_profile

PART = GeneratedPart("profiles", "flume.lab.link.table")
_COLUMNS = ("profile", "direction", "delay ms", "loss", "rate kbit/s", "queue", "netem limit", "more", "sources")


def rows(profile: Profile) -> list[tuple[str, ...]]:
    """Return the table's rows for one profile: for each timed step one row, or two if its directions differ.

    A trace has too many steps for that: its rows have the means, and between which rates it changes.
    """
    if profile.traces:
        rest = Step(at_s=0, down=profile.down, up=profile.up)
        return _rows(profile, rest, f"`{profile.name}`, trace of {profile.period_s:g} s")
    if profile.steps:
        return [
            row for step in profile.timeline() for row in _rows(profile, step, f"`{profile.name}` from {step.at_s:g} s")
        ]
    return _rows(profile, profile.timeline()[0], f"`{profile.name}`")


def table(profiles: Sequence[Profile]) -> str:
    """Return the table in Markdown."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *(row for profile in profiles for row in rows(profile))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows(profile: Profile, step: Step, name: str) -> list[tuple[str, ...]]:
    directions = [("both", step.down)] if step.down == step.up else [("down", step.down), ("up", step.up)]
    return [
        (name, which, *_cells(one, _rate(profile, which, one)), _sources(profile, which)) for which, one in directions
    ]


def _rate(profile: Profile, which: str, direction: Direction) -> str:
    """Return the rate, with the lowest and the highest one of a trace."""
    if direction.rate_kbit is None:
        return "–"
    if not profile.traces or direction.bucket is None:
        return f"{direction.rate_kbit:g}"
    rates = [values.rate_kbit or 0 for _, values in profile.changes("down" if which == "both" else which)]
    return f"{direction.rate_kbit:.0f} ({min(rates):.0f} to {max(rates):.0f})"


def _sources(profile: Profile, which: str) -> str:
    """Return the short names of the sources: the text before the first comma or colon."""
    wanted = [
        source
        for path, source in profile.sources.items()
        if which == "both" or f".{which}." in f".{path}" or not path.rpartition(".")[0]
    ]
    return "; ".join(dict.fromkeys(source.partition(",")[0].partition(":")[0].strip() for source in wanted)) or "–"


def _cells(direction: Direction, rate: str) -> tuple[str, ...]:
    return (
        _delay(direction),
        _loss(direction),
        rate,
        _queue(direction),
        str(direction.limit_datagrams),
        _more(direction),
    )


def _delay(direction: Direction) -> str:
    if not direction.jitter_ms:
        return f"{direction.delay_ms:.6g}"
    order = "may overtake" if direction.jitter_reorders else "in order"
    return f"{direction.delay_ms:g} ± {direction.jitter_ms:g} {direction.distribution}, {order}"


def _loss(direction: Direction) -> str:
    if not direction.loss_pct:
        return "–"
    if direction.loss_burst_datagrams is None:
        return f"{direction.loss_pct:g} % random"
    return f"{direction.loss_pct:g} % in bursts of {direction.loss_burst_datagrams:g}"


def _queue(direction: Direction) -> str:
    if direction.queue_bytes is not None:
        return f"{direction.queue_bytes} bytes"
    return "–" if direction.queue_ms is None else f"{direction.queue_ms:g} ms"


def _more(direction: Direction) -> str:
    figures = (
        ("duplicated", direction.duplicate_pct),
        ("corrupted", direction.corrupt_pct),
        ("reordered", direction.reorder_pct),
    )
    return ", ".join(f"{figure:g} % {word}" for word, figure in figures if figure) or "–"


def main() -> None:
    """Write the table into ``netem/README.md`` of this checkout."""
    folder = checkout.profiles()
    profiles = [find_profile(folder, name) for name in catalogue.names(folder)]
    PART.write(folder.parent / "README.md", table(profiles))


if __name__ == "__main__":
    generated.run(main)
