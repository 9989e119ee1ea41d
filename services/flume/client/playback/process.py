"""The player's process: ``python -m flume.client.playback.process``, started by ``vlc_process.py`` beside it.

Commands and events are those of :mod:`flume.client.playback.process_messages`. That module is not imported here, nor is
any other that takes megabytes, such as msgspec (4 MB): a lab has one such process for each client.
"""

import json
import os
import sys

from flume.client.playback.libvlc import Playback, load
from flume.errors import PlayerError
from flume.parent_link import MESSAGE, ParentLink

Answer = dict[str, object] | None


class Program:
    """Does what the client says; one thread."""

    def __init__(self) -> None:
        """Begin without libvlc."""
        self._playback: Playback | None = None
        self._expected = 0

    def answer(self, message: bytes) -> bytes | None:
        """Do the command in *message*, and return the event that answers it, if any."""
        command = json.loads(message)
        try:
            event = self._obey(command.pop("type"), command)
        except PlayerError as error:
            event = {"type": "failed", "reason": str(error)}
        return json.dumps(event).encode() if event is not None else None

    def _obey(self, kind: str, arguments: dict[str, object]) -> Answer:
        if kind == "examine":
            return {"type": "examined", "obstacle": _window_obstacle()}
        if kind == "play":
            self._expected = arguments.pop("expected")  # type: ignore[assignment]
            self._playback = Playback(**arguments)  # type: ignore[arg-type]
            return {"type": "listening", "port": self._playback.port}
        if self._playback is None:
            raise PlayerError(f"libvlc was given the command {kind} before it played")
        if kind == "ask":
            return self._report(self._playback)
        if kind == "expect":
            self._playback.take_count()
            self._playback.count.expect()
            self._expected = arguments["number"]  # type: ignore[assignment]
        elif kind == "received":
            self._playback.count.received(arguments["time_s"])  # type: ignore[arg-type]
        return None

    def _report(self, playback: Playback) -> Answer:
        if playback.has_ended:
            raise PlayerError("libvlc ended the stream by itself")
        playback.take_count()
        count, (width, height) = playback.count, playback.size
        report: dict[str, object] = {
            "type": "report",
            "frames": count.frames,
            "last_s": count.last_s,
            "expected": self._expected,
            "first_s": count.first_s,
            "number": playback.number,
            "width": width,
            "height": height,
        }
        shown = playback.take_shown()
        return {**report, "shown": shown} if shown else report


def _window_obstacle() -> str | None:
    from flume.client.playback import display  # noqa: PLC0415 - a process that plays does not need it

    load()
    return display.window_obstacle(os.environ, display.plugin_folder())


def main() -> None:
    """Serve the client until it has gone."""
    link, program = ParentLink(sys.argv, name="flume-player"), Program()

    def obey(message: bytes) -> None:
        event = program.answer(message)
        if event is not None:
            link.send(MESSAGE, event)

    link.run(obey)


if __name__ == "__main__":
    main()
