"""GStreamer's playbin, as its gst-play and every GNOME player have it, steered by its states.

PAUSED sends RTSP's PAUSE, and so does NULL, before TEARDOWN.
"""

from typing import Any

import gi

from players.contract import Seen
from players.readings import gstreamer_rendered

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 - its version must be asked for first

_TCP = 4
"""GstRTSPLowerTrans: TCP."""


def version() -> str:
    """Return GStreamer's version in one line."""
    return str(Gst.version_string())


class Gstreamer:
    """One pipeline for each stream."""

    def __init__(self, url: str, transport: str) -> None:
        """Load GStreamer. Over ``udp`` its fall-back to TCP is left on, as players have it."""
        Gst.init(None)
        self._url, self._transport = url, transport
        self._pipeline: Any = None
        self._sink: Any = None

    def play(self) -> None:
        """Open the stream."""
        self._pipeline = Gst.ElementFactory.make("playbin")
        self._sink, audio = (Gst.ElementFactory.make("fakesink") for _ in range(2))
        for sink in (self._sink, audio):
            sink.set_property("sync", True)
            sink.set_property("qos", True)
        self._pipeline.set_property("uri", self._url)
        self._pipeline.set_property("video-sink", self._sink)
        self._pipeline.set_property("audio-sink", audio)
        self._pipeline.connect("source-setup", self._set_up_source)
        self._pipeline.set_state(Gst.State.PLAYING)

    def _set_up_source(self, _pipeline: Any, source: Any) -> None:
        if self._transport == "tcp":
            source.set_property("protocols", _TCP)

    def pause(self) -> None:
        """Set the state PAUSED."""
        self._pipeline.set_state(Gst.State.PAUSED)

    def resume(self) -> None:
        """Set the state PLAYING."""
        self._pipeline.set_state(Gst.State.PLAYING)

    def stop(self) -> None:
        """Set the state NULL."""
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)
        self._pipeline = None

    def poll(self) -> Seen:
        """Return what it displays."""
        if self._pipeline is None:
            return Seen()
        frames = gstreamer_rendered(self._sink.get_property("stats").to_string())
        kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS
        message = self._pipeline.get_bus().pop_filtered(kinds)
        ended = None
        if message is not None:
            ended = str(message.parse_error()[0].message) if message.type == Gst.MessageType.ERROR else "end of stream"
            self.stop()
        return Seen(frames, None, bool(frames), ended)

    def close(self) -> None:
        """End the stream."""
        self.stop()
