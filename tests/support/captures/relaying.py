"""A tree on paper: a server, two relays, and two clients behind each of these."""

from collections.abc import Mapping
from typing import Any

import msgspec

from flume.lab.evidence.facts import RELAY, Claims, Counters, Evidence, Expectations, PlayerRecord, Subject, TapFacts
from flume.lab.trial.judge import judge_tree
from flume.lab.trial.verdict import Report
from support.captures.judging import RUN
from support.captures.wire import START_S, Wire, host

RELAYS = {"relay-h2": 1, "relay-h3": 2}
"""Name of a relay to its number as a client of the first server."""
LEAVES = {"relay-h2": (3, 4), "relay-h3": (5, 6)}
LATER_S = 0.05
"""A relay passes on what was sent to it so much before."""
LIMITS = Expectations(frames_min_pct=50.0, loss_max_pct=100.0)


class Tree:
    """Three wires. The relays number anew: what has number 0 at the first server has 1000 at a relay.

    >>> Tree().play().report().verdict
    <Verdict.PASS: 'PASS'>
    """

    def __init__(self) -> None:
        self.root = Wire().connect(1).connect(2)
        self.below = {name: Wire((host(number), 5004), ssrc=20 + number) for name, number in RELAYS.items()}
        for name, wire in self.below.items():
            wire.now_s = self.root.now_s + LATER_S - 0.02
            wire.sequence, wire.ahead = 1000, -1000
            for leaf in LEAVES[name]:
                wire.connect(leaf)
        self.lost: dict[str, frozenset[int]] = {}
        """Numbers of datagrams that did not reach a relay."""
        self.claims: dict[int, dict[str, Any]] = {}
        self.fields: dict[int, dict[str, Any]] = {}

    def play(self, seconds: float = 3.0, *, skips: bool = True) -> "Tree":
        """Stream to all, relays without what they lost. *skips*: they skip the numbers of these, too."""
        count = round(seconds / 0.02)
        self.root.stream(seconds, 1, 2).last("interrupt", 1).last("interrupt", 2)
        for name, wire in self.below.items():
            for number in range(count):
                if number not in self.lost.get(name, ()):
                    wire.stream(0.02, *LEAVES[name])
                    continue
                wire.wait(0.02)
                if skips:
                    wire.sequence += 1
                else:
                    wire.ahead += 1
            for leaf in LEAVES[name]:
                wire.last("interrupt", leaf)
        return self

    def relay_tap(self, name: str) -> TapFacts:
        """The one capture at a relay: both of its sides."""
        number, below = RELAYS[name], self.below[name]
        came = self.root.client(number, lose=self.lost.get(name, frozenset()))
        mine = host(number)
        whole = Wire()
        for side in (self.root, below):
            whole.starts += [one for one in side.starts if side is below or one.client[0] == mine]
            whole.messages += [one for one in side.messages if side is below or one.client[0] == mine]
            whole.ends += [one for one in side.ends if side is below or one.client[0] == mine]
            whole.consents += [one for one in side.consents if side is below or one.client[0] == mine]
        whole.media += [*came.media, *below.media]
        whole.refusals += below.refusals
        whole.sources |= {self.root.address[0], mine, *(one.client[0] for one in below.messages)}
        end_s = max(self.root.now_s, below.now_s)
        return whole.build(came.tap._replace(name=name, last_s=end_s))

    def relay(self, name: str, **fields: Any) -> Subject:
        number = RELAYS[name]
        counters = Counters(lost_on_link=len(self.lost.get(name, ())))
        usual: dict[str, Any] = {"claims": Claims(), "counters": counters, "tap": name, "commands": None}
        subject = self.root.subject(number, **{**usual, "watches": False, "program": RELAY, **fields})
        return msgspec.structs.replace(subject, name=name)

    def leaf(self, name: str, number: int) -> Subject:
        subject = self.below[name].subject(number, tap=f"client-{number}", **self.fields.get(number, {}))
        claims = msgspec.structs.replace(subject.claims, **self.claims.get(number, {}))
        return msgspec.structs.replace(subject, claims=claims)

    def hops(self, leaf_taps: Mapping[int, TapFacts] | None = None) -> dict[str, Evidence]:
        taps = {name: self.relay_tap(name) for name in RELAYS}
        relays = tuple(self.relay(name) for name in RELAYS)
        found = {"server": Evidence(START_S, "server", (self.root.server(), *taps.values()), relays, LIMITS)}
        for name, wire in self.below.items():
            at_leaves = [(leaf_taps or {}).get(leaf) or wire.client(leaf) for leaf in LEAVES[name]]
            subjects = tuple(self.leaf(name, leaf) for leaf in LEAVES[name])
            found[name] = Evidence(START_S, name, (taps[name], *at_leaves), subjects, LIMITS)
        return found

    def report(self, **changes: Any) -> Report:
        return judge_tree(self.hops(**changes), RUN)

    def watch(self, number: int, record: PlayerRecord) -> "Tree":
        """The player of a leaf keeps this *record*."""
        self.claims[number] = {"record": record, "frames_displayed": len(record.shown), "datagrams": None}
        return self
