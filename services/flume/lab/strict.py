"""The base of all values that are read from a file which a person writes, and where in the file a mistake is. Pure."""

import re
import tomllib
from typing import TypeVar

import msgspec

from flume.errors import SettingsError


class FileValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of such a file. A key that no field has is refused: it may be a misspelt one that would have no effect.

    >>> class Server(FileValue, frozen=True, kw_only=True):
    ...     port: int = 5004
    >>> msgspec.convert({"prot": 5005}, Server)
    Traceback (most recent call last):
    msgspec.ValidationError: Object contains unknown field `prot`
    """


Value = TypeVar("Value", bound=FileValue)

_PATH = re.compile(r"`\$\.?([^`]*)`")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")


def decode(text: str, kind: type[Value], *, key: str, file: str, **more: object) -> Value:
    """Return the TOML *text* of *file* as a *kind*; *more* are values that are not from the file.

    Raises :class:`SettingsError` for *key* that names file, line and reason.

    >>> class Server(FileValue, frozen=True, kw_only=True):
    ...     port: int
    >>> decode("# ours\\nport = '5004'", Server, key="server", file="my.toml")
    Traceback (most recent call last):
    flume.errors.SettingsError: server='my.toml' is not possible: line 2: Expected `int`, got `str` - at `$.port`
    """
    try:
        return msgspec.convert({**tomllib.loads(text), **more}, kind)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(key, file, str(error)) from error
    except msgspec.ValidationError as error:
        raise SettingsError(key, file, f"{_located(text, _path_of(str(error)))}{error}") from error
    except SettingsError as error:
        raise SettingsError(key, file, f"{_located(text, error.key)}{error}") from error


def _path_of(message: str) -> str:
    """Return the path of keys that msgspec's *message* is about, such as ``settings.reorder_ms``."""
    path = match[1] if (match := _PATH.search(message.rpartition(" - at ")[2])) else ""
    unknown = _UNKNOWN.search(message)
    return ".".join(filter(None, (path, unknown[1] if unknown else "")))


def _located(text: str, path: str) -> str:
    """Return ``line 3: `` for the key *path* in the TOML *text*; empty where no line has it."""
    line = line_of(text, path)
    return "" if line is None else f"line {line}: "


def line_of(text: str, path: str) -> int | None:
    """Return the number of the line of TOML *text* that sets the key *path*, or opens its table.

    None where no line does, and where it could be one of several tables of that name.

    >>> line_of("a = 1\\n[part]\\nb = 2\\n", "part.b"), line_of("a = 1", "b")
    (3, None)
    """
    *tables, key = re.sub(r"\[(\d+|\.\.\.)\]", "", path).split(".")
    indices = [int(number) for number in re.findall(r"\[(\d+)\]", path)]
    wanted, present, seen, opened, found = ".".join(tables), "", 0, None, None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.\-]+)\s*\]\]?", line):
            present, seen = header[1], seen + (header[1] == (wanted or key))
            if present == (wanted or key) and (not indices or seen == indices[0] + 1):
                opened = number
            continue
        in_table = present == wanted and (not wanted or not indices or seen == indices[0] + 1)
        if in_table and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            found = number if found is None else found
    return (opened if found is None else found) if indices or seen <= 1 else None
