"""Recognises the server's answers to ``flume doctor`` and to tokens, so that they do not count as media. Pure."""

import math
from collections import Counter

from flume.lab.evidence.facts import ControlMessage, Endpoint, Event, Reply

_TOKEN_BYTES = 32
"""A session's token: hexadecimal text."""
_PROOF_REQUEST_BYTES = _TOKEN_BYTES + 13
_REQUESTS_PER_TOKEN = 2


class Echoes:
    """Keeps account of echo requests. Each answer returns, byte for byte, what its receiver sent.

    A request begins with a token and a question mark. The token is one that the server gave to that host in a reply
    seen here, and one request excuses one answer. So a server can pass nothing off as an echo that its receiver did
    not send it. It can send no echo to a host without a session either: requests end with their session.
    """

    def __init__(self) -> None:
        """Begin without a token."""
        self._tokens: dict[Endpoint, bytes] = {}
        self._ends_s: dict[tuple[str, bytes], float] = {}
        self._asked: Counter[tuple[Endpoint, bytes]] = Counter()
        self._tokens_from: Counter[tuple[Endpoint, bytes]] = Counter()
        """Requests for proof that the server may still send for the tokens that came from each endpoint."""
        self._asked_for_proof: set[tuple[Endpoint, bytes]] = set()
        self._proved: set[tuple[Endpoint, bytes]] = set()
        """Endpoints that have sent such a request back, and the token in it: these may be asked at any time."""

    def follow(self, message: ControlMessage) -> None:
        """Take a message of a control connection: replies and events begin and end sessions."""
        if isinstance(message, Reply) and message.refusal is None:
            if message.command == "connect" and message.token is not None:
                self._tokens[message.client] = message.token
                self._ends_s[message.client[0], message.token] = math.inf
            elif message.command == "disconnect":
                self.end(message.client, message.time_s)
        elif isinstance(message, Event) and message.name == "closed":
            self.end(message.client, message.time_s)

    def end(self, control: Endpoint, at_s: float) -> None:
        """Take the end, at *at_s*, of the session of the control connection from *control*."""
        token = self._tokens.pop(control, None)
        if token is not None:
            self._ends_s[control[0], token] = at_s

    def take_request_untrusted(self, client: Endpoint, data: bytes) -> bool:
        """Note the datagram *data* from *client* if it asks for an echo; return whether it does."""
        token = data[:_TOKEN_BYTES]
        asks = data[_TOKEN_BYTES : _TOKEN_BYTES + 1] == b"?" and (client[0], token) in self._ends_s
        if asks:
            self._asked[client, data] += 1
        return asks

    def take_token_untrusted(self, client: Endpoint, data: bytes) -> None:
        """Note the datagram *data* from *client* if it is a token, or proves that its port wants the stream.

        The server may answer a token by two requests for proof.
        """
        token = data[:_TOKEN_BYTES]
        if (client[0], token) not in self._ends_s:
            return
        if data == token:
            self._tokens_from[client, token] += _REQUESTS_PER_TOKEN
        elif _is_proof_request(data) and (client, token) in self._asked_for_proof:
            self._proved.add((client, token))

    def take_proof_request_untrusted(self, time_s: float, client: Endpoint, data: bytes) -> bool:
        """Use up a token of *client* for *data*, by which the server asks whether that port wants the stream.

        Return whether it was one: the token, an exclamation mark and 12 characters, while the session lives.
        """
        token = data[:_TOKEN_BYTES]
        if not _is_proof_request(data):
            return False
        if (client, token) not in self._proved:
            if self._tokens_from[client, token] <= 0:
                return False
            self._tokens_from[client, token] -= 1
            self._asked_for_proof.add((client, token))
        return time_s <= self._ends_s[client[0], token]

    def take_answer_untrusted(self, time_s: float, client: Endpoint, data: bytes) -> bool:
        """Use up a request for *data* by *client*; return whether there was one, of a session that lives at *time_s*.

        A late answer uses up its request too, and is media.
        """
        if not self._asked or self._asked[client, data] <= 0:
            return False
        self._asked[client, data] -= 1
        return time_s <= self._ends_s[client[0], data[:_TOKEN_BYTES]]


def _is_proof_request(data: bytes) -> bool:
    return data[_TOKEN_BYTES : _TOKEN_BYTES + 1] == b"!" and len(data) == _PROOF_REQUEST_BYTES
