"""What this machine can show and sound, found out before libvlc is started.

libvlc says nothing when it cannot open a window: it decodes on, and nobody sees anything. So the same question is
asked first, in the same way: by libxcb, which libvlc's own window plug-in uses.
"""

import ctypes
import socket
from collections.abc import Mapping
from pathlib import Path

WINDOW_PACKAGE = "apt-get install --no-install-recommends vlc-plugin-video-output"
_WINDOW_PLUGINS = "video_output/lib*_window_plugin.so", "video_output/lib*_shell_plugin.so"
"""libvlc 3: X11's is xcb_window, Wayland's are xdg_shell and wl_shell."""

_SOUND_DEVICES = "snd/pcmC*p"
"""ALSA's playback devices, below /dev."""

_GRAPHICS_CARDS = "dri/card*", "nvidia0", "dxg"
"""Linux' own interface to graphics cards, NVIDIA's, and that of Windows' subsystem for Linux, below /dev."""

DEVICES = Path("/dev")


def has_display(environment: Mapping[str, str]) -> bool:
    """Say whether somebody asked for windows."""
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def window_obstacle(environment: Mapping[str, str], plugins: Path | None) -> str | None:
    """Return why no window can be opened, with the cure, or ``None``.

    *plugins* is libvlc's folder of plug-ins; ``None``: not known, taken for complete.
    """
    if not has_display(environment):
        return "neither DISPLAY nor WAYLAND_DISPLAY is set: run it in a desktop session, or with 'ssh -X'"
    if plugins is not None and not any(path for pattern in _WINDOW_PLUGINS for path in plugins.glob(pattern)):
        return f"libvlc has no plug-in for windows: {WINDOW_PACKAGE}"
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
    # wl_display_connect(3): a name is below XDG_RUNTIME_DIR, an absolute path stands for itself.
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
    except OSError:  # not here or not X11: then nothing can be said against it
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(name.encode(), None)  # never null; xcb_disconnect is due after errors too
    try:
        return not xcb.xcb_connection_has_error(connection)
    finally:
        xcb.xcb_disconnect(connection)


def has_sound(environment: Mapping[str, str], devices: Path = DEVICES) -> bool:
    """Say whether sound can be played.

    Without a device libvlc tries again with each packet of sound, and ALSA writes twelve lines about each attempt.
    """
    if environment.get("PULSE_SERVER"):
        return True
    runtime = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent"))
    if (runtime / "pulse" / "native").exists() or (runtime / "pipewire-0").exists():
        return True
    return any(devices.glob(_SOUND_DEVICES))


def has_graphics_card(devices: Path = DEVICES) -> bool:
    """Say whether drawing is anybody's work but the processor's."""
    return any(path for pattern in _GRAPHICS_CARDS for path in devices.glob(pattern))
