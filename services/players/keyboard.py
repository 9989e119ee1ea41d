"""A screen without a monitor, and a keyboard for it: Xvfb, and libX11's and libXtst's functions by ctypes.

ffplay takes keys from its window alone.
"""

import ctypes
import os

from players.child import Child

_POINTER_ROOT = 1
"""X.h: the focus follows the pointer; without a window manager no window would have it."""


class Keyboard:
    """Presses keys in the only window of a screen of its own."""

    def __init__(self) -> None:
        """Start Xvfb on a display number that it chooses. Raises :class:`OSError` if it does not start."""
        reader, writer = os.pipe()
        arguments = [
            "-displayfd",
            str(writer),
            "-screen",
            "0",
            "640x360x24",
            "-nocursor",
            "-nolisten",
            "tcp",
            "-noreset",
        ]
        self._server = Child(["Xvfb", *arguments], lambda _line: None, pass_fds=(writer,))
        os.close(writer)
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        if not number:
            raise OSError("Xvfb does not start")
        self.display = f":{number}"
        self._x11, self._xtst = _libraries()
        self._connection = self._x11.XOpenDisplay(self.display.encode())
        if not self._connection:
            raise OSError(f"no connection to the X display {self.display}")

    def press(self, key: str) -> None:
        """Press and release *key*, a letter."""
        self._x11.XSetInputFocus(self._connection, _POINTER_ROOT, 1, 0)
        code = self._x11.XKeysymToKeycode(self._connection, ord(key))  # a letter's symbol is its code in Latin-1
        for is_down in (1, 0):
            self._xtst.XTestFakeKeyEvent(self._connection, code, is_down, 0)
        self._x11.XSync(self._connection, 0)

    def close(self) -> None:
        """End Xvfb."""
        self._server.end()


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    x11, xtst = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
    pointer, number = ctypes.c_void_p, ctypes.c_ulong
    x11.XOpenDisplay.restype, x11.XOpenDisplay.argtypes = pointer, [ctypes.c_char_p]
    x11.XKeysymToKeycode.restype, x11.XKeysymToKeycode.argtypes = ctypes.c_ubyte, [pointer, number]
    x11.XSetInputFocus.argtypes = [pointer, number, ctypes.c_int, number]
    x11.XSync.argtypes = [pointer, ctypes.c_int]
    xtst.XTestFakeKeyEvent.argtypes = [pointer, ctypes.c_uint, ctypes.c_int, number]
    return x11, xtst
