"""Certificates for tests, of an authority that exists for one run."""

import datetime as dt
import functools
import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

NAMES = ("localhost", "127.0.0.1", "::1")


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


class Files(NamedTuple):
    """Paths of PEM files."""

    certificate: str
    """Certificate and key."""
    ca: str

    @property
    def client(self) -> ssl.SSLContext:
        """What a client of the standard library verifies with."""
        return ssl.create_default_context(cafile=self.ca)


def write(folder: Path, *names: str, expired: bool = False) -> Files:
    """Write a certificate for *names*, by default those of loopback, and that of its issuer."""
    now = dt.datetime.now(dt.UTC)
    before, after = (now - dt.timedelta(days=2), now - dt.timedelta(days=1)) if expired else (None, None)
    leaf = authority().issue_cert(*(names or NAMES), not_before=before, not_after=after)
    certificate, ca = folder / "server.pem", folder / "ca.pem"
    certificate.touch(mode=0o600)
    leaf.private_key_and_cert_chain_pem.write_to_path(certificate)
    authority().cert_pem.write_to_path(ca)
    return Files(str(certificate), str(ca))
