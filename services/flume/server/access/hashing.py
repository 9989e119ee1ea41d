"""Secrets as hashes: scrypt (RFC 7914) in the PHC string format. It takes 0.2 s, so never call it on the event loop.

The parameters are one of OWASP's choices for scrypt: 16 MiB, five rounds.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

LOG_N, R, P = 14, 8, 5
SALT_BYTES, HASH_BYTES = 16, 32

_FORMAT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/-]{8,128})\$([\w+/-]{16,128})")


class Hash(NamedTuple):
    """One hash, with what it was made with."""

    log_n: int
    r: int
    p: int
    salt: bytes
    digest: bytes


def make_hash(secret: str) -> str:
    """Return the hash of *secret*, with a salt of its own."""
    salt = secrets.token_bytes(SALT_BYTES)
    made = Hash(LOG_N, R, P, salt, b"")
    digest = _scrypt(secret, made, HASH_BYTES)
    return f"$scrypt$ln={LOG_N},r={R},p={P}${_encode(salt)}${_encode(digest)}"


def parse_hash(text: str) -> Hash:
    """Return the hash in *text*; raises :class:`ValueError` for what is none, or takes more than 64 MiB.

    >>> parse_hash("$scrypt$ln=14,r=8,p=5$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA").salt
    b'saltsalt'
    """
    found = _FORMAT.fullmatch(text)
    if found is None:
        message = "no hash of the form $scrypt$ln=14,r=8,p=5$SALT$HASH"
        raise ValueError(message)
    log_n, r, p = (int(group) for group in found.groups()[:3])
    if not (10 <= log_n <= 20 and r >= 1 and 1 <= p <= 16 and (128 * r << log_n) <= 64 << 20):
        message = f"ln={log_n},r={r},p={p} is out of range"
        raise ValueError(message)
    try:
        return Hash(log_n, r, p, _decode(found[4]), _decode(found[5]))
    except binascii.Error as error:
        message = "salt or hash is no base64"
        raise ValueError(message) from error


def matches(secret: str, known: Hash) -> bool:
    """Return whether *known* is the hash of *secret*; the comparison takes the same time wherever they differ.

    scrypt keys an HMAC, which fills up with zero bytes: to it a secret with NUL behind it is the same. It is not.
    """
    is_same = hmac.compare_digest(_scrypt(secret, known, len(known.digest)), known.digest)
    return is_same and "\0" not in secret


def _scrypt(secret: str, how: Hash, length: int) -> bytes:
    text, cost, memory = secret.encode("utf-8", "surrogatepass"), 1 << how.log_n, 256 * how.r << how.log_n
    return hashlib.scrypt(text, salt=how.salt, n=cost, r=how.r, p=how.p, maxmem=memory, dklen=length)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
