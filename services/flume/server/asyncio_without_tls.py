"""Imports asyncio without OpenSSL, which the server's event loop never uses: 5 MB less in the server.

Only the program may do so, before anything else imports asyncio: that has no TLS then for the rest of the process.
Playlists are fetched over HTTPS all the same: ``http.client`` imports ``ssl`` by itself.
"""

import sys


def _import() -> None:
    if "ssl" in sys.modules or "asyncio" in sys.modules:
        return  # it is too late, as in a test, or asyncio is another program's too
    sys.modules["ssl"] = None  # type: ignore[assignment] # what Python documents for "is not to be imported"
    try:
        import asyncio  # noqa: F401, PLC0415
    finally:
        del sys.modules["ssl"]


_import()
