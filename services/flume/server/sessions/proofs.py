"""Proofs that a port wants the stream. Pure.

A token shows what its sender knows, not where it is: the source of a datagram can be forged, and a host can name a
port beside its own. So the server answers a token from a new port with a *proof request*, to that port: the token, a
mark and a code that only the server can make for that very port. Nothing else goes there until the request comes back.

The request has 45 bytes, the token 32, and each token gets two at most: towards a port that has not proved that it
wants the stream, the server sends less than three times what came (as RFC 9000, 8.1 has it for QUIC).
"""

import base64
import hmac
import secrets
from hashlib import blake2b

from flume.control.endpoint import Address
from flume.server.limits.buckets import AddressBuckets, Rate
from flume.settings import PROOF_MARK

CODE_CHARACTERS = 12
"""72 bits in base64: ten million guesses a second in the seven seconds of a token have a chance of 1 in 10^13."""

VALID_S = 8.0
"""A request is good for as long, and at most twice as long. Otherwise an attacker who records an answer on its way
could send it again much later, as if from a port that the client has left."""

REQUEST_AGAIN_S = 0.1
"""A port that has not answered is asked once more for the same token: where one datagram in ten is lost on each way,
19 of 100 questions stay without an answer, and 4 of 100 tokens."""

REQUESTS_PER_ADDRESS = Rate(100, 200)
"""A thousand clients behind one NAT are asked within ten seconds."""


class Proofs:
    """Makes and checks proof requests, and keeps none of them.

    >>> proofs = Proofs()
    >>> request = proofs.request(b"00ff", ("192.0.2.1", 5000), now_s=100.0)
    >>> [proofs.is_proof_untrusted(request, ("192.0.2.1", port), now_s=107.0) for port in (5000, 5001)]
    [True, False]
    """

    def __init__(self) -> None:
        """Choose a key."""
        self._key = secrets.token_bytes(32)
        self._buckets = AddressBuckets(REQUESTS_PER_ADDRESS)

    def may_ask(self, address: str, now_s: float) -> bool:
        """Whether one more port of *address* may be asked at *now_s* (monotonic)."""
        return self._buckets.of(address, now_s).take(now_s)

    def request(self, token: bytes, source: Address, *, now_s: float) -> bytes:
        """Return what *source*, from which *token* came, has to send back; good from *now_s* (monotonic) on."""
        return self._request(token, source, int(now_s // VALID_S))

    def _request(self, token: bytes, source: Address, period: int) -> bytes:
        named = b"%b %b %d %d" % (token, source[0].encode(), source[1], period)
        code = blake2b(named, key=self._key, digest_size=CODE_CHARACTERS * 3 // 4).digest()
        return token + PROOF_MARK + base64.urlsafe_b64encode(code)

    def is_proof_untrusted(self, data: bytes, source: Address, *, now_s: float) -> bool:
        """Whether *data* from *source* is a request that was sent there not long before *now_s*. Raises nothing."""
        token = data[: -len(PROOF_MARK) - CODE_CHARACTERS]
        now = int(now_s // VALID_S)
        return any(hmac.compare_digest(data, self._request(token, source, period)) for period in (now, now - 1))


def is_proof(data: bytes, *, token_bytes: int) -> bool:
    """Whether *data* has the form of a proof, for a token of *token_bytes*."""
    return (
        data[token_bytes : token_bytes + 1] == PROOF_MARK
        and len(data) == token_bytes + len(PROOF_MARK) + CODE_CHARACTERS
    )


def explain_missing(source: Address, reason: str | None) -> str:
    """Return the notice to a client whose tokens come from *source*, and no proofs; *reason* is an error, if one shows.

    >>> explain_missing(("192.0.2.1", 5000), "send_ehostunreach").partition(": ")[0]
    'the token came from 192.0.2.1 port 5000, and not the answer to what was sent there (send_ehostunreach)'
    """
    host, port = source
    came = f"the token came from {host} port {port}, and not the answer to what was sent there"
    came += f" ({reason})" if reason else ""
    return f"{came}: is UDP open from the server to the client, and is the client as new as the server?"
