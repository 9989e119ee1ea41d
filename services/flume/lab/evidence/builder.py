"""Collects the facts of one tap while its packets are read. Pure."""

from flume.lab.evidence.facts import (
    Consent,
    ControlEnd,
    ControlMessage,
    ControlStart,
    Headless,
    MediaDatagram,
    OtherPacket,
    Refusal,
    Tap,
    TapFacts,
)

_Fact = MediaDatagram | ControlStart | ControlMessage | ControlEnd | Consent | Refusal | OtherPacket | Headless


class TapFactsBuilder:
    """The lists of :class:`~flume.lab.evidence.facts.TapFacts`, open for more; :meth:`build` closes them.

    >>> builder = TapFactsBuilder()
    >>> builder.sources.add("198.18.0.11")
    >>> facts = builder.build(Tap("server", "eth0", "server.pcap", 0, 0, 262144, 0.0, 0.0, None))
    >>> facts.sources
    frozenset({'198.18.0.11'})
    """

    def __init__(self) -> None:
        """Begin without a fact."""
        self.media: list[MediaDatagram] = []
        self.starts: list[ControlStart] = []
        self.messages: list[ControlMessage] = []
        self.ends: list[ControlEnd] = []
        self.consents: list[Consent] = []
        self.refusals: list[Refusal] = []
        self.sources: set[str] = set()
        self.batches = 0
        self.others: list[OtherPacket] = []
        self.incomplete: list[MediaDatagram] = []
        self.headless: list[Headless] = []

    def build(self, tap: Tap) -> TapFacts:
        """Return everything that *tap* saw, in the order of time; facts of the same time keep their order."""
        return TapFacts(
            tap,
            tuple(sorted(self.media, key=_time_s)),
            tuple(sorted(self.starts, key=_time_s)),
            tuple(sorted(self.messages, key=_time_s)),
            tuple(sorted(self.ends, key=_time_s)),
            tuple(sorted(self.consents, key=_time_s)),
            tuple(sorted(self.refusals, key=_time_s)),
            frozenset(self.sources),
            self.batches,
            tuple(sorted(self.others, key=_time_s)),
            tuple(sorted(self.incomplete, key=_time_s)),
            tuple(sorted(self.headless, key=_time_s)),
        )


def _time_s(fact: _Fact) -> float:
    return fact.time_s
