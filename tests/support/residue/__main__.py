"""Prints a snapshot of this machine, or compares an earlier one with now. See the package."""

import argparse
import contextlib
import sys
from pathlib import Path

import msgspec

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from support.privileges import add_programs
from support.residue.docker_objects import readers
from support.residue.reading import take
from support.residue.values import Difference, Snapshot, compare, named_by


def main(arguments: list[str] | None = None) -> int:
    """Return 0 where nothing is left or missing, 1 where something is, 2 where something could not be read."""
    parser = argparse.ArgumentParser(prog="python -m support.residue", description=__doc__)
    parser.add_argument("before", nargs="?", type=Path, help="an earlier snapshot; without it one is printed")
    parser.add_argument("--mark", action="append", help="name only what contains this, such as flumelab")
    options = parser.parse_args(arguments)
    add_programs()
    now = _take()
    if options.before is None:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(now), indent=1).decode() + "\n")
        return 0
    difference = compare(msgspec.json.decode(options.before.read_bytes(), type=Snapshot), now)
    return _say(difference, options.mark)


def _take() -> Snapshot:
    """Return a snapshot with the objects of the engine, where there is one."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(Engine.connect())
        except EngineError as error:
            found = take()
            return Snapshot(found.things, {**found.unread, "the engine": str(error)})
        return take(readers(engine))


def _say(difference: Difference, marks: list[str] | None) -> int:
    left, missing = difference.left, difference.missing
    if marks is not None:
        left, missing = named_by(marks, left), named_by(marks, missing)
    for words, things in (("left", left), ("missing", missing)):
        for one in things:
            sys.stdout.write(f"{words}: {one}\n")
    for reason in difference.unread:
        sys.stdout.write(f"not read: {reason}\n")
    if left or missing:
        return 1
    return 2 if difference.unread else 0


if __name__ == "__main__":
    sys.exit(main())
