"""Which window and which audio this machine offers, found out before libvlc is started.

libvlc reports nothing when it cannot open a window: it goes on decoding, and no picture appears. So the window is tried
first, with the library that libvlc's own window plug-in uses: libxcb.
"""

import ctypes
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from flume.client.playback.packages import INSTALL_WINDOW

NO_DISPLAY = "neither DISPLAY nor WAYLAND_DISPLAY is set: run it in a desktop session, or with 'ssh -X'"

_WINDOW_PLUGINS = "video_output/lib*_window_plugin.so", "video_output/lib*_shell_plugin.so"
"""libvlc 3: X11's is xcb_window, Wayland's are xdg_shell and wl_shell."""

_AUDIO_DEVICES = "snd/pcmC*p"
"""ALSA's playback devices, below /dev."""

_GRAPHICS_CARDS = "dri/card*", "nvidia0", "dxg"
"""Graphics cards below /dev: Linux's own interface, NVIDIA's, and that of the Windows Subsystem for Linux."""

DEVICES = Path("/dev")


def plugin_folder() -> Path | None:
    """Return the folder of plug-ins of the libvlc that this process has loaded; ``None`` where that is not known."""
    maps = Path("/proc/self/maps")
    found = re.search(r"(/\S+)/libvlc\.so", maps.read_text("utf-8")) if maps.exists() else None
    folder = Path(found[1]) / "vlc" / "plugins" if found else None
    return folder if folder is not None and folder.is_dir() else None


def has_display(environment: Mapping[str, str]) -> bool:
    """Return whether *environment* names a display, X11's or Wayland's."""
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def window_obstacle(environment: Mapping[str, str], plugins: Path | None) -> str | None:
    """Return why no window can be opened, with the remedy, or ``None``.

    *plugins* is libvlc's folder of plug-ins; ``None``: not known, taken for complete.
    """
    if not has_display(environment):
        return NO_DISPLAY
    if plugins is not None and not any(path for pattern in _WINDOW_PLUGINS for path in plugins.glob(pattern)):
        return f"libvlc has no plug-in for windows: {INSTALL_WINDOW}"
    if _wayland_answers(environment):
        return None
    name = environment.get("DISPLAY")
    if not name:
        return f"no Wayland compositor answers at WAYLAND_DISPLAY={environment.get('WAYLAND_DISPLAY')}: is it running?"
    if not _x_answers(name):
        return f"no X server lets us in at DISPLAY={name}: is it running, and does xauth or xhost allow this user?"
    return None


def _wayland_answers(environment: Mapping[str, str]) -> bool:
    name = environment.get("WAYLAND_DISPLAY")
    if not name:
        return False
    # wl_display_connect(3): a name is relative to XDG_RUNTIME_DIR; an absolute path is taken as it is.
    path = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent")) / name
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _x_answers(name: str) -> bool:
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:  # no libxcb, or not X11: no reason against a window is known
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(name.encode(), None)  # never null; xcb_disconnect is due after errors too
    try:
        return not xcb.xcb_connection_has_error(connection)
    finally:
        xcb.xcb_disconnect(connection)


def has_audio(environment: Mapping[str, str], devices: Path = DEVICES) -> bool:
    """Return whether audio can be played: an audio server answers, or there is a playback device.

    Without a device libvlc tries again for each packet of audio, and ALSA writes twelve lines about each attempt.
    """
    if environment.get("PULSE_SERVER"):
        return True
    runtime = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent"))
    if (runtime / "pulse" / "native").exists() or (runtime / "pipewire-0").exists():
        return True
    return any(devices.glob(_AUDIO_DEVICES))


def has_graphics_card(devices: Path = DEVICES) -> bool:
    """Return whether there is a graphics card; without one the CPU draws."""
    return any(path for pattern in _GRAPHICS_CARDS for path in devices.glob(pattern))
