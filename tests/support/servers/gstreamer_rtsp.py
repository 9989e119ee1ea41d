"""GStreamer's rtsp-server, a server that none of us wrote: ``/usr/bin/python3 gstreamer_rtsp.py HOST PORT``.

It runs with Debian's Python, which has GStreamer's bindings, and says ``ready``. All clients share one live stream of
MPEG-TS, which leaves from UDP port PORT.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - their versions must be asked for first

STREAM = (
    "( videotestsrc is-live=true pattern=snow ! video/x-raw,width=320,height=180,framerate=25/1 "
    "! openh264enc bitrate=1000000 gop-size=12 ! h264parse config-interval=-1 "
    "! mpegtsmux alignment=7 ! rtpmp2tpay name=pay0 pt=33 )"
)


def main(host: str, port: int) -> None:
    """Serve until SIGTERM."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(host)
    server.set_service(str(port))
    pool = GstRtspServer.RTSPAddressPool()
    every = GstRtspServer.RTSP_ADDRESS_POOL_ANY_IPV4
    pool.add_range(every, every, port, port + 1, 0)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(STREAM)
    factory.set_shared(True)
    factory.set_address_pool(pool)
    server.get_mount_points().add_factory("/", factory)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    if not server.attach(None):
        raise SystemExit(f"port {port} is taken")
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
