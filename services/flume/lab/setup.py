"""Everything that must stand before a lab runs, in one call, and its removal.

``python -m flume.lab.setup prepare [--tests] | stop | purge`` is what the Makefile calls.
"""

import sys

from flume.errors import EngineError, FlumeError
from flume.lab import host
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.progress import Say

_USAGE_STATUS = 2


def prepare(say: Say, *, interactive: bool = False, tests: bool = False) -> Engine:
    """Return an engine that answers and has the images; install, start and build what is missing for that.

    The caller closes it. Raises :class:`~flume.errors.SetupError` or :class:`~flume.errors.EngineError`.
    """
    host.prepare(say, interactive=interactive, tests=tests)
    engine = Engine.connect()
    try:
        images.ensure_images(engine, say=say, interactive=interactive)
    except BaseException:
        engine.close()
        raise
    return engine


def purge(say: Say) -> None:
    """Remove all labs and images, and stop the engine if we started it."""
    try:
        engine = Engine.connect()
    except EngineError as error:
        say(f"{error}; nothing to remove in it.")
        return
    with engine:
        for what in [*engine.remove_lab(None), *(f"image {name}" for name in images.remove_images(engine))]:
            say(f"Removed {what}.")
    host.stop_engine(say)


def main(arguments: list[str]) -> int:
    """Run one of the actions; return the exit status."""

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    try:
        match arguments:
            case ["prepare"] | ["prepare", "--tests"]:
                prepare(say, interactive=sys.stderr.isatty(), tests="--tests" in arguments).close()
            case ["stop"]:
                host.stop_engine(say)
            case ["purge"]:
                purge(say)
            case _:
                say("usage: python -m flume.lab.setup prepare [--tests] | stop | purge")
                return _USAGE_STATUS
    except FlumeError as error:
        say(f"flume: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
