"""Profile files: TOML to :class:`~flume.lab.link.profile.Profile`. A mistake is refused with file, key and reason.

The source of a figure is the entry of ``[sources]`` that ``<figure>_source`` beside it names. The profiles of flumelab
have a source for each figure, which a test requires; a file of a person's own may have none.

The reader is written by hand and not with msgspec. Its messages name the value seen and the unit ("must be a number of
milliseconds, without quotes") and suggest the key with the unit; it also collects the sources. msgspec does neither.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flume.errors import SettingsError
from flume.lab import catalogue
from flume.lab.link.pacing import paced, traced
from flume.lab.link.profile import Direction, Profile, Step
from flume.lab.link.trace import Trace, mean, read_trace

_FIGURES = {
    "delay_ms": "milliseconds",
    "jitter_ms": "milliseconds",
    "loss_pct": "percent",
    "loss_burst_datagrams": "datagrams",
    "duplicate_pct": "percent",
    "corrupt_pct": "percent",
    "reorder_pct": "percent",
    "rate_kbit": "kilobits per second",
    "queue_bytes": "bytes",
    "queue_ms": "milliseconds",
}
"""Figures of a direction and their units."""
_DIRECTIONS = ("down", "up")
_WORDS = {"distribution": str, "jitter_reorders": bool}
_TIMES = {"at_s": "seconds", "period_s": "seconds"}
_SOURCED = {*_FIGURES, *_TIMES, "trace"}
_KINDS = {str: "a text in quotes", bool: "true or false", dict: "a table", list: "an array of tables"}


class _Reader:
    """Reads the tables of one file. Each message names that file; the figures and their sources are collected."""

    def __init__(self, file: str, sources: Mapping[str, str]) -> None:
        self.file, self.known = file, sources
        self.figures: list[str] = []
        self.sources: dict[str, str] = {}
        self.traces: list[str] = []
        self.used: set[str] = set()

    def refuse(self, path: str, value: object, reason: str) -> SettingsError:
        return SettingsError(f"{self.file}: {path}", value, reason)

    def check_keys(self, table: Mapping[str, Any], prefix: str, allowed: Mapping[str, object]) -> None:
        """Refuse keys that are not *allowed*. ``<figure>_source`` is allowed where the table has that figure."""
        for key, value in table.items():
            stem = key.removesuffix("_source")
            if key in allowed or (key != stem and stem in table and stem in _SOURCED):
                continue
            raise self.refuse(prefix + key, value, self._why_unknown(key, allowed, table))

    @staticmethod
    def _why_unknown(key: str, allowed: Mapping[str, object], table: Mapping[str, Any]) -> str:
        stem = key.removesuffix("_source")
        if stem != key and stem not in table:
            return f"a source without its figure: {stem} is not given"
        for name in _FIGURES | _TIMES:
            if name in allowed and name.rsplit("_", 1)[0] in (key, key.rsplit("_", 1)[0]):
                return f"the unit is part of the name: write {name}"
        return f"an unknown key; known here are {', '.join(allowed)}"

    def read_typed(self, table: Mapping[str, Any], prefix: str, key: str, kind: type, default: Any = None) -> Any:
        """Return the value of *key*, which must be of *kind*; *default* where it is absent."""
        value = table.get(key, default)
        if value is not default and type(value) is not kind:
            raise self.refuse(prefix + key, value, f"must be {_KINDS[kind]}")
        return value

    def read_figure(self, table: Mapping[str, Any], prefix: str, key: str, unit: str) -> float | int:
        """Return the number under *key*, and record it and its source."""
        value = table[key]
        path = prefix + key
        if type(value) not in (int, float) or (key == "queue_bytes" and type(value) is not int):
            whole = "a whole number" if key == "queue_bytes" else "a number"
            raise self.refuse(path, value, f"must be {whole} of {unit}, without quotes")
        self.figures.append(path)
        self.note_source(table, prefix, key)
        return int(value) if key == "queue_bytes" else float(value)

    def note_source(self, table: Mapping[str, Any], prefix: str, key: str) -> None:
        """Record the source of the figure *key*, if the table names one."""
        path = f"{prefix}{key}_source"
        name = self.read_typed(table, prefix, f"{key}_source", str)
        if name is None:
            return
        if name not in self.known:
            known = ", ".join(self.known) or "none"
            raise self.refuse(path, name, f"no such entry in [sources]; known there: {known}")
        self.used.add(name)
        self.sources[prefix + key] = self.known[name]

    def read_traces(self, table: Mapping[str, Any], prefix: str) -> dict[str, Trace]:
        """Return direction → trace of the file that ``trace`` in *table* names; empty where it names none."""
        name = self.read_typed(table, prefix, "trace", str)
        if name is None:
            return {}
        self.figures.append(f"{prefix}trace")
        self.note_source(table, prefix, "trace")
        self.traces.append(name)
        path = Path(self.file).parent / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self.refuse(f"{prefix}trace", name, f"a readable file beside this one ({error})") from error
        return read_trace(text, file=str(path))

    def read_direction(
        self, table: Mapping[str, Any], prefix: str, *, base: Direction | None = None, trace: Trace | None = None
    ) -> Direction:
        """Return one direction. In a step, *base* has the values of the keys that the step leaves out.

        A *trace* gives the means of its figures; those are not in the table.
        """
        self.check_keys(table, prefix, dict.fromkeys((*_FIGURES, *_WORDS, *(("trace",) if base is None else ()))))
        means = {} if trace is None else mean(trace.spans)
        for key in means.keys() & table.keys():
            raise self.refuse(prefix + key, table[key], "absent: the trace gives it")
        if "rate_kbit" in means and not {"queue_bytes", "queue_ms"} & table.keys():
            raise self.refuse(f"{prefix}queue_bytes", None, "a trace with a rate needs it, or queue_ms")
        values: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in base.__struct_fields__}
        values |= means
        values |= {key: self.read_figure(table, prefix, key, unit) for key, unit in _FIGURES.items() if key in table}
        values |= {key: self.read_typed(table, prefix, key, kind) for key, kind in _WORDS.items() if key in table}
        if "queue_bytes" in table and "queue_ms" not in table:
            values["queue_ms"] = None
        elif "queue_ms" in table and "queue_bytes" not in table:
            values["queue_bytes"] = None
        if values.get("jitter_ms") == 0 and base is not None:
            # TOML has no null: a step that sets jitter_ms to 0 also resets the two keys that belong to it.
            values |= {key: None if key == "jitter_reorders" else "none" for key in _WORDS if key not in table}
        try:
            return Direction(**values)
        except SettingsError as error:
            raise self.refuse(prefix + error.key, error.value, error.allowed) from None


def load_profile(text: str, *, name: str, file: str | None = None) -> Profile:
    """Return the profile in *text*; raises :class:`SettingsError` with file, key and reason.

    >>> load_profile("[down]\\ndelay_ms = 20\\n[up]\\n", name="home").down.delay_ms
    20.0
    """
    file = file or f"{name}.toml"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(file, text[:40], f"must be TOML: {error}") from None
    sources = table.get("sources", {})
    if type(sources) is not dict or not all(type(text) is str and text.strip() for text in sources.values()):
        raise SettingsError(f"{file}: sources", sources, "must be a table of texts in quotes")
    reader = _Reader(file, sources)
    known = ("description", "control_exempt", "period_s", "trace", "sources", "down", "up", "step")
    reader.check_keys(table, "", dict.fromkeys(known))
    description = reader.read_typed(table, "", "description", str, "")
    exempt = reader.read_typed(table, "", "control_exempt", bool, default=True)
    period_s = reader.read_figure(table, "", "period_s", "seconds") if "period_s" in table else None
    tables = {}
    for key in _DIRECTIONS:
        if key not in table:
            raise reader.refuse(key, None, "both directions must be there; an empty table is a perfect one")
        tables[key] = reader.read_typed(table, "", key, dict)
    traces = _traces(reader, table, tables)
    down, up = (reader.read_direction(tables[key], f"{key}.", trace=traces.get(key)) for key in _DIRECTIONS)
    steps = tuple(
        _step(reader, step, number, down, up)
        for number, step in enumerate(reader.read_typed(table, "", "step", list, []), 1)
    )
    if traces:
        period_s, down, up, steps = traced(down, up, traces)
    if unused := sorted(set(sources) - reader.used):
        raise reader.refuse("sources", unused, "no figure names this source")
    try:
        profile = Profile(
            name=name,
            description=description,
            down=down,
            up=up,
            control_exempt=exempt,
            period_s=period_s,
            steps=steps,
            sources=reader.sources,
            figures=tuple(reader.figures),
            traces=tuple(reader.traces),
        )
    except SettingsError as error:
        raise reader.refuse(error.key, error.value, error.allowed) from None
    return paced(profile)


def _traces(reader: _Reader, table: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Trace]:
    """Return direction → trace, from the file's own ``trace`` or from those of its directions."""
    found = reader.read_traces(table, "")
    both = bool(found)
    for key in _DIRECTIONS:
        if own := reader.read_traces(tables[key], f"{key}."):
            if both:
                raise reader.refuse(f"{key}.trace", tables[key]["trace"], "absent beside the trace of the whole file")
            if key not in own:
                raise reader.refuse(f"{key}.trace", tables[key]["trace"], f"a file with a column for {key}")
            found[key] = own[key]
    for key in ("period_s", "step"):
        if found and key in table:
            raise reader.refuse(key, table[key], "absent: a trace has times of its own")
    return found


def _step(reader: _Reader, table: object, number: int, down: Direction, up: Direction) -> Step:
    prefix = f"step.{number}."
    if type(table) is not dict:
        raise reader.refuse(prefix[:-1], table, "must be a table: [[step]]")
    reader.check_keys(table, prefix, dict.fromkeys(("at_s", "down", "up")))
    if "at_s" not in table:
        raise reader.refuse(f"{prefix}at_s", None, "must say when the step begins")
    return Step(
        at_s=reader.read_figure(table, prefix, "at_s", "seconds"),
        down=reader.read_direction(reader.read_typed(table, prefix, "down", dict, {}), f"{prefix}down.", base=down),
        up=reader.read_direction(reader.read_typed(table, prefix, "up", dict, {}), f"{prefix}up.", base=up),
    )


def find_profile(folder: Path, name_or_path: str) -> Profile:
    """Read the profile *name_or_path*: a name in *folder*, or the path of a file that ends in ``.toml``.

    Raises :class:`SettingsError` for an unknown name, with those that are known, and for a file that cannot be read.
    """
    found = catalogue.read(folder, name_or_path, key="PROFILE")
    return load_profile(found.text, name=found.name, file=str(found.path))
