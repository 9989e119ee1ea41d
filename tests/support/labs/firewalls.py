"""A running lab with firewalls in it, for tests: events of each client, findings of its doctor, counts of its rules."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from flume.lab.commands.running import running_firewalls
from flume.lab.containers.container import Container, Output
from flume.lab.containers.engine import Engine
from flume.lab.firewall.rules import Proof
from flume.lab.firewall.scenario import find
from flume.lab.hosts.site import Site
from support.paths import FIREWALLS

Event = dict[str, Any]


class Viewer:
    """One client of the lab: all of its events are kept, and commands go to its standard input."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.number = container.index or 0
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._io = container.attach(Output(self._on_line, lambda _line: None))

    def close(self) -> None:
        self._io.close()

    def _on_line(self, line: str) -> None:
        with self._changed:
            self.events.append(json.loads(line))
            self._changed.notify_all()

    @property
    def now(self) -> int:
        """How many events there are so far: a mark, to look only at later ones."""
        return len(self.events)

    def send(self, command: str) -> None:
        self._io.write_line(command)

    def wait(
        self,
        what: str,
        kind: str,
        is_it: Callable[[Event], bool] = lambda _: True,
        *,
        since: int,
        timeout_s: float = 10,
    ) -> Event:
        """Return the first event of *kind* after *since* that *is_it*; fails with the last events."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = next((e for e in self.events[since:] if e["event"] == kind and is_it(e)), None)
                if found is not None:
                    return found
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"client {self.number} did not {what} in {timeout_s} s: {self.events[since:][-4:]}"
                self._changed.wait(left_s)

    def said(self, kind: str, *, since: int, **fields: object) -> list[Event]:
        """Return its events of *kind* after *since* with these *fields*."""
        return [e for e in self.events[since:] if e["event"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def statistics(self, *, after_s: float | None = None) -> Event:
        """Return its first statistics after *after_s* (epoch, now by default); they come once a second."""
        moment_s = time.time() if after_s is None else after_s
        return self.wait("give its statistics", "statistics", lambda e: e["time_s"] > moment_s, since=0)

    def do(self, command: str) -> Event:
        """Send *command* and return the reply."""
        since = self.now
        self.send(command)
        event = self.wait(f"get an answer to {command}", "command", lambda e: e["command"] == command, since=since)
        assert event["reply"] is not None, event
        reply: Event = event["reply"]
        return reply

    def receive(self, *, after_s: float | None = None, timeout_s: float = 10) -> Event:
        """Wait until it is active and datagrams come, after *after_s* (epoch, now by default); return its statistics.

        Several clients that are asked with one *after_s* answer within one second together.
        """
        moment_s = time.time() if after_s is None else after_s

        def comes(event: Event) -> bool:
            earlier = [e for e in self.events if e["event"] == "statistics" and e["time_s"] < event["time_s"]]
            flows = bool(earlier) and event["datagrams"] > earlier[-1]["datagrams"] + 20
            return event["time_s"] > moment_s and event["state"] == "active" and flows

        return self.wait("receive", "statistics", comes, since=0, timeout_s=timeout_s)

    def watch_again(self, *, after_s: float | None = None) -> Event:
        """Bring the client back to an active stream, whatever a scenario has done to its session."""
        state = self.statistics(after_s=after_s)["state"]
        if state != "active":  # before it would try by itself; refused where it has already tried
            self.send("continue" if state == "interrupted" else "connect")
        return self.receive(after_s=after_s, timeout_s=20)

    def settled(self) -> Event:
        """Interrupt the client and return its statistics when every datagram has arrived or is counted as lost."""
        reply = self.do("interrupt")
        assert reply["reply"] == "interrupt", reply
        self.statistics()
        return self.statistics()

    def doctor(self) -> dict[str, str]:
        """Return what `flume doctor server` finds on its host: leg → finding."""
        result = self.container.exec(["flume", "doctor", "server", "--json"])
        found = {line["leg"]: line["finding"] for line in map(json.loads, result.stdout.splitlines())}
        assert found, result
        return found


class Firewalled:
    """The lab *name*, its clients and its firewalls."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name
        self.firewalls = running_firewalls(Site.of(engine), name)
        self.clients = {one.number: one for one in map(Viewer, engine.find(lab=name, role="client"))}
        (self.server,) = engine.find(lab=name, role="server")
        (self.probe,) = engine.find(lab=name, role="probe")
        self.touched: set[int] = set()
        """Clients that a test has applied a scenario to: the stream of all other clients must not change."""

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def apply(self, scenario: str, number: int) -> None:
        self.touched.add(number)
        self.firewalls.apply(find(FIREWALLS, scenario), [number])

    def proof(self, number: int) -> Proof:
        (found,) = [proof for proof in self.firewalls.proofs() if proof.number == number]
        return found

    def forgets_the_flow_of(self, viewer: Viewer) -> bool:
        """Whether connection tracking on the host of *viewer* no longer has an entry for its media socket."""
        port = viewer.events[-1].get("media_port") or viewer.statistics()["media_port"]
        known = ["conntrack", "-L", "-p", "udp", "--orig-port-src", str(port), "--orig-port-dst", "5004"]
        return f"sport={port}" not in self.firewalls.probe.enter(viewer.container.pid, known)

    def traces(self) -> list[str]:
        """Return what firewalls have left in the lab's namespaces: rules, chains, routes, timeouts, files."""
        script = """
            for pid; do nsenter --target "$pid" --net -- sh -c "
                iptables-nft-save 2>/dev/null; iptables-legacy-save 2>/dev/null; ip route
                echo timeout $(cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout)"; done
            ls /run/firewall"""
        pids = [str(container.pid) for container in (self.server, *(one.container for one in self.clients.values()))]
        lines = self.probe.run_checked(["sh", "-c", script, "sh", *pids]).splitlines()
        assert len(lines) > 3 * len(pids), lines
        return [
            line
            for line in lines
            if "FLUME" in line or " mtu " in line or line == "timeout 1" or line.endswith((".scenario", ".route"))
        ]
