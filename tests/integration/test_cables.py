"""A cable that is pulled and plugged in again: the client's, and the server's."""

import concurrent.futures
import contextlib
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.clients.watch_programs import WatchProgram, watch_programs
from support.clients.witness import Witnesses
from support.namespaces import WirePair
from support.servers.plain_server import PORT, plain_server

pytestmark = pytest.mark.wire

UNPLUGGED_S = 3.0
SHORT_CONSENT_S = 1.5
"""Of the second server: so the cable is away longer than its clients' consent lasts. The first one has the default."""
AGAIN_WITHIN_S = 12.0
"""TCP tries again at most as long after the cable is back as it was away; a client waits at most 10 s in between."""


class Neighbour(WirePair):
    """A third host, which has a cable of its own to the server of *pair*."""

    def __init__(self, pair: WirePair) -> None:
        super().__init__(clients=1, stem="flume-test-n")
        self.server = pair.server
        self.address = "198.51.100.2"

    def _make(self) -> None:
        for line in (
            f"netns add {self.client}",
            f"-n {self.client} link set lo up",
            f"link add eth1 netns {self.server} type veth peer name eth0 netns {self.client}",
            f"-n {self.server} addr add {self.address}/24 dev eth1",
            f"-n {self.client} addr add 198.51.100.10/24 dev eth0",
            f"-n {self.server} link set eth1 up",
            f"-n {self.client} link set eth0 up",
        ):
            subprocess.run(("ip", *line.split()), check=True, capture_output=True, timeout=20)

    def __exit__(self, *_: object) -> None:
        subprocess.run(("ip", "netns", "del", self.client), check=False, capture_output=True, timeout=20)


@contextlib.contextmanager
def unplugged(namespace: str) -> Iterator[None]:
    """Within the block, the cable of *namespace* is pulled: its interface is down, and the other end has no carrier."""
    subprocess.run(("ip", "-n", namespace, "link", "set", "eth0", "down"), check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(("ip", "-n", namespace, "link", "set", "eth0", "up"), check=True, timeout=20)


class Seen(NamedTuple):
    """What came of it."""

    pulled_s: float
    programs: dict[str, WatchProgram]
    again_s: dict[str, float]
    """How long after the cable was back each program received again."""
    witnesses: Witnesses


def pull(whose: str) -> Seen:
    """Pull the cable of *whose* host under three clients, and plug it in again."""
    short = ("--set", "token_interval_s=0.5", "--set", f"consent_timeout_s={SHORT_CONSENT_S}")
    with (
        WirePair(clients=1) as pair,
        Neighbour(pair) as neighbour,
        plain_server(pair, "0.0.0.0", options=("--bitrate", "500")),
        plain_server(pair, "0.0.0.0", port=PORT + 2, options=("--bitrate", "500", *short)),
        watch_programs(pair, (), ("--transport", "tcp")) as (udp, tcp),
        watch_programs(pair, (), port=PORT + 2) as (ended,),
    ):
        programs = {"UDP": udp, "TCP": tcp, "UDP, consent expired": ended}
        witnesses = Witnesses(neighbour, address=neighbour.address, source="198.51.100.10")
        with witnesses:
            pulled_s = time.monotonic()
            with unplugged(getattr(pair, whose)):
                time.sleep(UNPLUGGED_S)
            back_s = time.monotonic()
            again_s = {name: one.wait_until_flowing(since_s=back_s)[0] - back_s for name, one in programs.items()}
    return Seen(pulled_s, programs, again_s, witnesses)


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, "concurrent.futures.Future[Seen]"]]:
    """Both at the same time: each waits most of the time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield {whose: pool.submit(pull, whose) for whose in ("client", "server")}


@pytest.mark.parametrize("whose", ["client", "server"])
def test_streams_go_on_when_a_cable_is_back(whose: str, seen, record_property):
    found: Seen = seen[whose].result()
    assert max(found.again_s.values()) < AGAIN_WITHIN_S
    for name in ("UDP", "TCP"):
        program = found.programs[name]
        assert kept_its_session(program, name.lower(), since_s=found.pulled_s), program.events
    ended = found.programs["UDP, consent expired"]
    codes = {event["code"] for event in ended.said("error", since_s=found.pulled_s)}
    assert codes == {"consent_expired"}, codes
    assert ended.events[-1][1]["transport"] == "udp", "one silence is no firewall"
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.again_s.items())
    beside = found.witnesses.lost_nothing(at_least=int(40 * UNPLUGGED_S))
    record_property("measured", f"{whose}'s cable away for {UNPLUGGED_S:g} s, stream after it: {times}; {beside}")


def kept_its_session(program: WatchProgram, transport: str, *, since_s: float) -> bool:
    """Whether its session went on, over what carried it."""
    last = [event for _, event in program.events if event["event"] == "statistics"][-1]
    return (last["reconnects"], last["transport"]) == (0, transport) and not program.said("error", since_s=since_s)
