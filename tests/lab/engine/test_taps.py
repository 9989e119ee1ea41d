"""Taps on a real engine: each packet on the wire is in the file, and a tap that cannot be trusted has a problem."""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from flume.errors import EngineError
from flume.lab.containers.engine import Container, Engine
from flume.lab.containers.probe import Probe, Tap
from flume.lab.containers.topology import Topology
from flume.lab.evidence.counters import backlog_drops
from support.labs.containers import send, start_lab

pytestmark = pytest.mark.docker

HEADERS_BYTES = 14 + 20 + 8  # Ethernet, IPv4, UDP


def frame_lengths(path: Path) -> Iterator[int]:
    """Yield the length on the wire of each frame in a capture file."""
    data = path.read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xA1B2C3D4
    position = 24
    while position < len(data):
        included, length = struct.unpack_from("<II", data, position + 8)
        assert included == length, "a frame was cut"
        yield length
        position += 16 + included


def tcpdumps(container: Container) -> str:
    """Return the tcpdump processes that run in the probe."""
    return container.exec(["pgrep", "--ns", str(container.pid), "--nslist", "mnt", "tcpdump"]).stdout


def test_both_sides_of_a_link_see_every_datagram(engine: Engine, layout: Topology, lab: str, tmp_path: Path) -> None:
    """Live before the first datagram, complete after the last, counted by tcpdump itself; files come out whole."""
    server, (first, second), box = start_lab(engine, layout, lab, clients=2)
    probe = Probe(box)
    probe.start_taps([Tap(one.name, one.pid) for one in (server, first, second)], packet_filter="udp port 5004")
    send(server, first.address, count=3000)
    ends = {end.name: end for end in probe.stop_taps([server.name, first.name, second.name])}
    assert [ends[one.name].problem for one in (server, first, second)] == [None, None, None]
    assert [ends[one.name].captured for one in (server, first, second)] == [3000, 3000, 0]
    assert tcpdumps(box) == ""
    files = {path.name: path for path in probe.fetch(tmp_path)}
    assert set(files) == {f"{one.name}.pcap" for one in (server, first, second)}
    assert list(frame_lengths(files[f"{first.name}.pcap"])) == [1328 + HEADERS_BYTES] * 3000
    probe.clear()
    assert probe.fetch(tmp_path / "again") == []


def test_with_segmentation_off_the_wire_carries_single_datagrams(
    engine: Engine, layout: Topology, lab: str, tmp_path: Path
) -> None:
    """The same batches of eight: before, one frame each at the server's tap; after, eight."""
    server, (client,), box = start_lab(engine, layout, lab)
    probe = Probe(box)
    seen = []
    for step in ("before", "after"):
        if step == "after":
            probe.switch_segmentation_off(server.pid)
        probe.start_taps([Tap(step, server.pid)], packet_filter="udp port 5004", snapshot_bytes=65535)
        send(server, client.address, count=80, batch=8)
        assert probe.stop_taps([step])[0].problem is None
        probe.fetch(tmp_path)
        seen.append(list(frame_lengths(tmp_path / f"{step}.pcap")))
    assert seen[0] == [8 * 1328 + HEADERS_BYTES] * 10
    assert seen[1] == [1328 + HEADERS_BYTES] * 80


def test_counters_are_those_of_the_namespace(engine: Engine, layout: Topology, lab: str) -> None:
    """Refused datagrams are counted at the client that refused them, and at no other host."""
    server, (first, second), box = start_lab(engine, layout, lab, clients=2)
    probe = Probe(box)
    send(server, first.address, count=50)
    counters = probe.counters([server.pid, first.pid, second.pid])

    def without_a_port(pid: int) -> int:
        names, values = (line.split()[1:] for line in counters[pid].snmp.splitlines() if line.startswith("Udp:"))
        return int(dict(zip(names, values, strict=True))["NoPorts"])

    assert [without_a_port(one.pid) for one in (server, first, second)] == [0, 50, 0]
    assert "drops" in counters[first.pid].udp
    assert "eth0" in counters[first.pid].dev
    assert {"lo", "eth0"} == {one["dev"] for one in msgspec.json.decode(counters[first.pid].qdisc)}


def test_the_kernels_drops_between_interfaces_are_counted_from_the_taps_start_on(
    engine: Engine, layout: Topology, lab: str
) -> None:
    """By the engine's kernel, which is this one: the counts of before and after enclose what this test reads."""
    server, _, box = start_lab(engine, layout, lab)
    assert engine.info.endpoint.startswith("unix:"), "this test reads the engine's own /proc"
    here = Path("/proc/net/softnet_stat")
    early = here.read_text()
    probe = Probe(box)
    probe.start_taps([Tap("server", server.pid)])
    between = here.read_text()
    probe.stop_taps(["server"])
    found = probe.backlog()
    whole = backlog_drops(early, here.read_text())
    assert 0 <= backlog_drops(found.before, between) <= backlog_drops(found.before, found.after) <= whole < 1 << 31
    # The kernel shows it in its first network namespace alone; elsewhere it is not known.
    limit = Path("/proc/sys/net/core/netdev_max_backlog")
    assert found.limit == (int(limit.read_text()) if limit.exists() else 0)


def test_a_clock_that_was_set_while_a_tap_captured_is_named(engine: Engine, layout: Topology, lab: str) -> None:
    """No test may set the clock of this machine, so what it was at the beginning is set instead."""
    server, _, box = start_lab(engine, layout, lab)
    probe = Probe(box)
    for set_ms, named in ((0, ""), (3_600_000, "was set by +3600."), (-2000, "was set by -2.")):
        probe.start_taps([Tap("server", server.pid)])
        wall, boot = box.run_checked(["cat", "/run/taps/clocks"]).split()
        box.run_checked(["sh", "-c", f"echo {int(wall) - set_ms} {boot} >/run/taps/clocks"])
        (end,) = probe.stop_taps(["server"])
        assert named in (end.problem or "")
        assert (end.problem is None) == (set_ms == 0), end.problem


def test_a_full_disk_is_noticed_and_named(engine: Engine, layout: Topology, lab: str) -> None:
    """The capture ends early; its problem names the disk, so that it does not look like a quiet network."""
    probe_service = msgspec.structs.replace(
        layout.service("probe"), volumes=(), tmpfs=(*layout.service("probe").tmpfs, "/captures:size=1m")
    )
    small = msgspec.structs.replace(layout, services={**layout.services, "probe": probe_service})
    server, (client,), box = start_lab(engine, small, lab)
    probe = Probe(box)
    assert probe.free_bytes() == 1 << 20
    probe.start_taps([Tap("server", server.pid)])
    send(server, client.address, count=2000)
    (end,) = probe.stop_taps(["server"])
    assert end.problem is not None
    assert "is the disk full" in end.problem
    assert probe.free_bytes() == 0


def test_a_tap_that_cannot_listen_is_named_and_takes_the_others_with_it(
    engine: Engine, layout: Topology, lab: str
) -> None:
    """The error carries tcpdump's reason, and no tap is left running."""
    server, (client,), box = start_lab(engine, layout, lab)
    taps = [Tap("good", server.pid), Tap("bad", client.pid, "nope0")]
    with pytest.raises(EngineError, match=r"bad does not listen: .*nope0"):
        Probe(box).start_taps(taps)
    Probe(box).start_taps([Tap("good", server.pid)])
    assert len(tcpdumps(box).split()) == 1
    assert Probe(box).stop_taps(["good"])[0].problem is None


def test_a_tap_whose_process_was_killed_is_a_problem(engine: Engine, layout: Topology, lab: str) -> None:
    """The capture is not complete then, whatever the reason."""
    server, _, box = start_lab(engine, layout, lab)
    probe = Probe(box)
    probe.start_taps([Tap("server", server.pid)])
    box.run_checked(["sh", "-c", "kill -9 $(cat /run/taps/server.pid)"])
    (end,) = probe.stop_taps(["server"])
    assert end.problem is not None
    assert "ended before it was stopped" in end.problem


def signal_tap(probe: Probe, name: str, signal: str) -> None:
    """Stop a tap like a host without CPU time (STOP), and let it go on (CONT)."""
    probe.container.run_checked(["sh", "-c", f"kill -{signal} $(cat /run/taps/{name}.pid)"])


def test_a_tap_that_is_behind_reads_on_before_it_stops(engine: Engine, layout: Topology, lab: str) -> None:
    """SIGINT alone ends tcpdump with unread packets in the kernel's buffer, and tcpdump does not mention them."""
    server, (client,), box = start_lab(engine, layout, lab)
    probe = Probe(box)
    probe.start_taps([Tap("server", server.pid)], packet_filter="udp port 5004")
    signal_tap(probe, "server", "STOP")
    send(server, client.address, count=500)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(probe.stop_taps, ["server"])
        with pytest.raises(TimeoutError):
            stopping.result(timeout=1)
        signal_tap(probe, "server", "CONT")
        (end,) = stopping.result(timeout=10)
    assert (end.captured, end.problem) == (500, None)
    assert end.log.count("captured") == 1


def test_removing_the_lab_ends_its_taps(engine: Engine, layout: Topology, lab: str) -> None:
    """They run in the PID namespace of the engine host, and must not outlive their container."""
    server, _, box = start_lab(engine, layout, lab)
    Probe(box).start_taps([Tap("server", server.pid)])
    pid = int(box.run_checked(["cat", "/run/taps/server.pid"]))
    assert engine.info.endpoint.startswith("unix:"), "this test looks at the engine's own /proc"
    assert Path(f"/proc/{pid}").exists()
    engine.remove_lab(lab)
    assert not Path(f"/proc/{pid}").exists()
