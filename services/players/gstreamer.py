"""GStreamer's playbin, as its gst-play and every GNOME player have it, steered by its states.

PAUSED sends RTSP's PAUSE, and so does NULL, before TEARDOWN.
"""

import time
from typing import Any

import gi

from players.contract import Seen
from players.readings import gstreamer_rendered

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 - its version must be asked for first

_TCP = 4
"""GstRTSPLowerTrans: TCP."""

_FRAME_S = 15.0
"""How long a pause waits for the first frame: a person does not pause before it either. Until then the pipeline is on
its way to PLAYING, and PAUSED may be lost on the way: no PAUSE is sent."""
_POLL_S = 0.05

_QUICK_LATENCY_MS = {"rtspsrc": 200, "tsdemux": 100}
"""Of the elements that hold back each frame. Their defaults are 2 s and 0.7 s."""


def version() -> str:
    """Return GStreamer's version in one line."""
    return str(Gst.version_string())


class Gstreamer:
    """One pipeline for each stream."""

    def __init__(self, url: str, transport: str, *, quick: bool = False) -> None:
        """Load GStreamer; *quick*: with shorter buffers.

        Over ``udp`` its fall-back to TCP is left on, as players have it.
        """
        Gst.init(None)
        self._url, self._transport, self._quick = url, transport, quick
        self._pipeline: Any = None
        self._sink: Any = None
        self._audio_sink: Any = None

    def play(self) -> None:
        """Open the stream."""
        self._pipeline = Gst.ElementFactory.make("playbin")
        self._sink, self._audio_sink = (Gst.ElementFactory.make("fakesink") for _ in range(2))
        for sink in (self._sink, self._audio_sink):
            sink.set_property("sync", True)
            sink.set_property("qos", True)
        self._pipeline.set_property("uri", self._url)
        self._pipeline.set_property("video-sink", self._sink)
        self._pipeline.set_property("audio-sink", self._audio_sink)
        self._pipeline.connect("source-setup", self._set_up_source)
        self._pipeline.connect("element-setup", self._set_up_element)
        self._pipeline.set_state(Gst.State.PLAYING)

    def _set_up_element(self, _pipeline: Any, element: Any) -> None:
        factory = element.get_factory()
        latency_ms = _QUICK_LATENCY_MS.get(factory.get_name()) if factory is not None else None
        if self._quick and latency_ms is not None:
            element.set_property("latency", latency_ms)

    def _set_up_source(self, _pipeline: Any, source: Any) -> None:
        if self._transport == "tcp":
            source.set_property("protocols", _TCP)

    def pause(self) -> None:
        """Set the state PAUSED, once a frame is displayed."""
        deadline_s = time.monotonic() + _FRAME_S
        while not self._rendered() and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        # By default a sink that is paused waits for one more frame, and the pipeline for the sink before it goes on.
        # But the datagrams have stopped: where no frame was left on the way, PLAYING would never be reached again, and
        # no PLAY sent. rtspsrc of 1.22 does not say that a paused stream has no frame to wait for (NO_PREROLL).
        for sink in (self._sink, self._audio_sink):
            sink.set_property("async", False)
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
        frames = self._rendered()
        kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS
        message = self._pipeline.get_bus().pop_filtered(kinds)
        ended = None
        if message is not None:
            ended = str(message.parse_error()[0].message) if message.type == Gst.MessageType.ERROR else "end of stream"
            self.stop()
        return Seen(frames, None, bool(frames), ended)

    def _rendered(self) -> int | None:
        return gstreamer_rendered(self._sink.get_property("stats").to_string())

    def close(self) -> None:
        """End the stream."""
        self.stop()
