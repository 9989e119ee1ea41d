"""Proofs that a port wants the stream. Pure.

A token shows what its sender knows, not where it is: the source of a datagram can be forged, and a host can name a
port beside its own. So the server answers a token from a new port with a *proof request*, to that port: the token, a
mark and a code that only the server can make for that very port. Nothing else goes there until the request comes back.

The request has less than twice the bytes of the token, and each token gets one at most: towards a port that has not
proved that it wants the stream, the server sends less than three times what came (as RFC 9000, 8.1 has it for QUIC).
"""

import os
from _blake2 import blake2b  # hashlib would load OpenSSL, which the server does without

from flume.control.endpoint import Address
from flume.server.limits.buckets import AddressBuckets, Rate
from flume.settings import PROOF_MARK

CODE_CHARACTERS = 16
"""64 bits: who guesses ten million codes a second in the seven seconds of a token has a chance of 1 in 10^11."""

REQUESTS_PER_ADDRESS = Rate(100, 200)
"""A thousand clients behind one NAT are asked within ten seconds."""


class Proofs:
    """Makes and checks proof requests, and keeps none of them.

    >>> proofs = Proofs()
    >>> request = proofs.request(b"00ff", ("192.0.2.1", 5000))
    >>> proofs.is_proof_untrusted(request, ("192.0.2.1", 5000)), proofs.is_proof_untrusted(request, ("192.0.2.1", 5001))
    (True, False)
    """

    def __init__(self) -> None:
        """Choose a key."""
        self._key = os.urandom(32)
        self._buckets = AddressBuckets(REQUESTS_PER_ADDRESS)

    def may_ask(self, address: str, now_s: float) -> bool:
        """Whether one more port of *address* may be asked at *now_s* (monotonic)."""
        return self._buckets.of(address, now_s).take(now_s)

    def request(self, token: bytes, source: Address) -> bytes:
        """Return what *source*, from which *token* came, has to send back."""
        named = b"%b %b %d" % (token, source[0].encode(), source[1])
        code = blake2b(named, key=self._key, digest_size=CODE_CHARACTERS // 2).hexdigest()
        return token + PROOF_MARK + code.encode()

    def is_proof_untrusted(self, data: bytes, source: Address) -> bool:
        """Whether *data* from *source* is the request that was sent there. Raises nothing."""
        token = data[: -len(PROOF_MARK) - CODE_CHARACTERS]
        return self._digest(data) == self._digest(self.request(token, source))

    def _digest(self, data: bytes) -> bytes:
        """Return what may be compared: how long that takes says nothing of *data*."""
        digest: bytes = blake2b(data, key=self._key).digest()
        return digest


def is_proof(data: bytes, *, token_bytes: int) -> bool:
    """Whether *data* has the form of a proof, for a token of *token_bytes*."""
    return (
        data[token_bytes : token_bytes + 1] == PROOF_MARK
        and len(data) == token_bytes + len(PROOF_MARK) + CODE_CHARACTERS
    )
