"""The server's certificate and key, which are read again when their files change."""

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from flume.errors import SettingsError
from flume.private_files import check_private

CHECK_S = 1.0
"""How often the files are looked at, while connections come."""

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """What a new connection is answered with. A renewed certificate needs no restart."""

    def __init__(
        self, certificate: str, key: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the PEM files *certificate*, with its chain, and *key*; without a *key* the first file has both.

        Raises :class:`SettingsError`.
        """
        self._certificate, self._key = Path(certificate), Path(key or certificate)
        self._clock = clock
        self._checked_s = clock()
        self._stamp = self._read_stamp()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return what the next connection uses. Files that cannot be used are logged once, and those before go on."""
        now_s = self._clock()
        if now_s - self._checked_s >= CHECK_S:
            self._checked_s = now_s
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = self._load()
                    _log.info("the certificate %s was read again", self._certificate)
                except SettingsError as error:
                    _log.warning("the certificate as it was before stays in use: %s", error)
        return self._context

    def _read_stamp(self) -> _Stamp:
        stamps = []
        for path in (self._certificate, self._key):
            try:
                seen = path.stat()
            except OSError:
                stamps.append((0, 0, 0))
            else:
                stamps.append((seen.st_ino, seen.st_mtime_ns, seen.st_size))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        check_private(self._key, key="tls_key", root_may_share=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # each costs the server a signature
        context.num_tickets = 0  # sessions are not resumed: there is one connection for hours
        try:
            context.load_cert_chain(self._certificate, self._key, password=_refuse_encrypted)
        except ssl.SSLError as error:
            raise SettingsError("tls_certificate", str(self._certificate), self._explain(error)) from error
        except OSError as error:
            allowed = f"a PEM file that can be read ({error.strerror or error})"
            raise SettingsError("tls_certificate", str(self._certificate), allowed) from error
        return context

    def _explain(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the certificate of the key in {self._key}; this is that of another key"
        return (
            f"a PEM file with a certificate, and its key without a passphrase in {self._key} ({error.reason or error})"
        )


def _refuse_encrypted() -> str:
    """Return no passphrase: OpenSSL would ask for it at the terminal."""
    return ""
