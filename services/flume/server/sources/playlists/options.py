"""Which options of a playlist apply. Pure.

A playlist comes from somewhere, so only a list of names applies: those that change how an item is asked for, or which
part of it plays. All others are named to the person who started the server. The names are VLC's.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

USER_AGENT, REFERRER = "http-user-agent", "http-referrer"
START_TIME, STOP_TIME = "start-time", "stop-time"
APPLIED = (USER_AGENT, REFERRER, START_TIME, STOP_TIME)
"""What :attr:`~flume.server.sources.items.Item.options` may contain. Times are seconds from the start of the item."""

_ALIASES = {"user-agent": USER_AGENT, "referer": REFERRER, "referrer": REFERRER, "http-referer": REFERRER}

_DANGEROUS = re.compile(
    r"sout|dump|log|record|snapshot|intf|plugin|config|pidfile|vod|telnet|lua|script|command|daemon|"
    r"(rc|http|https|rtsp|sap)-(host|port|src|index|password)|rc-|one-instance|input-slave|sub-file|"
    r"(access|demux|stream-filter|mux|vout|aout|codec)$|(scene|image)-"
)
"""Names that write files, open ports, load programs or read other files. They would not apply anyway; the pattern only
decides whether they are called refused or ignored."""

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")
MAX_VALUE = 1000
"""Longest value, characters. A user agent has about a hundred."""

_NAME = re.compile(r"[^A-Za-z0-9_.-]")
MAX_NAME = 40
_headers = msgspec.json.Decoder(dict[str, str])


class Options(NamedTuple):
    """The options of one entry: what applies as ``name=value``, and the names of the others."""

    applied: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def choose(wanted: Iterable[tuple[str, str]]) -> Options:
    """Return which of the options *wanted*, as pairs of name and value, apply. A later value replaces an earlier one.

    >>> choose([("http-user-agent", "TV"), ("network-caching", "300"), ("sout", "#file{dst=/x}")])
    Options(applied=('http-user-agent=TV',), ignored=('network-caching',), refused=('sout',))
    """
    applied: dict[str, str] = {}
    ignored: dict[str, None] = {}
    refused: dict[str, None] = {}
    for given, value in wanted:
        name = _plain(given)
        if name in APPLIED and _is_usable(name, value.strip()):
            applied[name] = value.strip()
        elif name and name not in APPLIED and _DANGEROUS.search(name):
            refused[name] = None
        elif name:
            ignored[name] = None
    if STOP_TIME in applied and float(applied[STOP_TIME]) <= float(applied.get(START_TIME, "0")):
        del applied[STOP_TIME]
        ignored[STOP_TIME] = None
    return Options(tuple(f"{name}={value}" for name, value in applied.items()), tuple(ignored), tuple(refused))


def _plain(given: str) -> str:
    """Return an option's name as VLC writes it in its manual, safe to show."""
    name = _NAME.sub("", given.strip().lstrip(":-").lower())[:MAX_NAME]
    return _ALIASES.get(name, name)


def _is_usable(name: str, value: str) -> bool:
    if name in {START_TIME, STOP_TIME}:
        return _SECONDS.fullmatch(value) is not None
    # A line end in a header would be another header.
    return 0 < len(value) <= MAX_VALUE and value.isprintable()


def pair(text: str) -> tuple[str, str]:
    """Return name and value of ``name=value``, or of a name alone."""
    name, _, value = text.partition("=")
    return name, value


def of_headers(text: str) -> Iterator[tuple[str, str]]:
    """Yield the HTTP headers that Kodi writes as ``User-Agent=…&Referer=…``, percent-encoded."""
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if equals:
            yield unquote(name), unquote(value)


def of_json_headers(text: str) -> Iterator[tuple[str, str]]:
    """Yield the HTTP headers of ``#EXTHTTP:{"User-Agent":"…"}``."""
    try:
        yield from _headers.decode(text.encode(errors="replace")).items()
    except (msgspec.DecodeError, RecursionError):
        yield "exthttp", text
