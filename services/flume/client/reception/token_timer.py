"""When the consent token is due. Pure: every time comes in as an argument, in monotonic seconds."""

QUIET_TOKEN_S = 0.5
"""Silence of an active stream after which its token is repeated at once, and then this often: a NAT or firewall that
has forgotten the flow opens again, and the server learns the new port. Longer than the pauses of a healthy stream; at
the token's usual interval the picture would freeze for up to 2 s."""

HURRIED_TOKEN_S = 0.25
HURRY_S = 3.0
"""How often, and for how long, a token repeats when the server asks for it. The same interval holds before the first
window. A path with bursts of loss must not look like one that is blocked: where 1.96 % are lost in bursts of two, three
tokens in a row are lost once in 200 times (0.0196 by 0.5 by 0.5), and twelve more once in 4,096 of these."""

NEVER_S = float("inf")


class TokenTimer:
    """The deadline of the next token of one session at a time.

    A token repeats at the session's interval; while an open window is silent, each :data:`QUIET_TOKEN_S`; before the
    first window, and for a while after the server asked for it, each :data:`HURRIED_TOKEN_S`.

    >>> timer = TokenTimer()
    >>> timer.begin_session(2.0)
    >>> timer.deadline_s(None)  # at once
    0.0
    >>> timer.note_sent(10.0)
    >>> timer.deadline_s(None)
    10.25
    >>> timer.begin_window(10.1)
    >>> timer.deadline_s(11.9)  # datagrams flow
    12.0
    """

    def __init__(self) -> None:
        """Begin without a session: no token is due."""
        self._interval_s = NEVER_S
        self._due_s = NEVER_S
        self._sent_s = 0.0
        self._hurried_until_s = 0.0
        self._is_awaiting_window = False
        self._window_s: float | None = None
        """When the open window began."""

    def begin_session(self, interval_s: float) -> None:
        """Send the first token at once, and further ones each *interval_s*."""
        self._interval_s = interval_s
        self._due_s = self._hurried_until_s = 0.0
        self._is_awaiting_window = True

    def begin_window(self, now_s: float) -> None:
        """The server delivers from *now_s* on."""
        self._window_s = now_s
        self._is_awaiting_window = False

    def end_window(self) -> None:
        """The server delivers no more; the session goes on, and with it the token at its interval."""
        self._window_s = None

    def end_session(self) -> None:
        """No token is due any more."""
        self._due_s = NEVER_S
        self._window_s = None
        self._is_awaiting_window = False

    def hurry(self, now_s: float) -> None:
        """The server asks for the token at *now_s*: send it at once, and often for a while."""
        if self._due_s != NEVER_S:
            self._due_s = now_s
            self._hurried_until_s = now_s + HURRY_S

    def note_sent(self, now_s: float) -> None:
        """A token left, or failed to leave, at *now_s*: the next one is due after the interval."""
        self._sent_s = now_s
        self._due_s = now_s + (HURRIED_TOKEN_S if now_s < self._hurried_until_s else self._interval_s)

    def deadline_s(self, last_datagram_s: float | None) -> float:
        """Return when the next token is due, infinity for never; *last_datagram_s*: when the last datagram arrived."""
        if self._is_awaiting_window:
            return min(self._due_s, self._sent_s + HURRIED_TOKEN_S)
        if self._window_s is None:
            return self._due_s
        silent_since_s = max(self._window_s, last_datagram_s or 0.0, self._sent_s)
        return min(self._due_s, silent_since_s + QUIET_TOKEN_S)
