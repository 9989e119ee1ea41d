"""A wire at work: what it may do, that it carries, and that it answers under load."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from flume.lab.machine.process import wait_until
from support.labs.wired import WiredLab

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

CAPABILITIES = {"NET_RAW": 13, "NET_ADMIN": 12, "SETUID": 7, "SETGID": 6}
"""Those of compose/lab.yaml, by their numbers in linux/capability.h."""

KINDS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def test_its_processes_have_no_capability_and_can_get_none_but_four(wired: WiredLab) -> None:
    """The kernel is started by a process with the four; the bounding set is what a container may ever have."""
    bound = sum(1 << number for number in CAPABILITIES.values())
    found = wired.processes()
    assert found[wired.wire.pid]["Uid"].split()[0] == "10002"
    kernel = wired.kernel_processes()
    assert len(kernel) >= 3
    assert {found[pid]["Name"] for pid in kernel} == {"linux.uml"}
    assert {found[pid]["Uid"] for pid in kernel} == {"10001\t10001\t10001\t10001"}
    for status in found.values():
        assert {int(status[kind], 16) for kind in KINDS} == {0}
        assert int(status["CapBnd"], 16) == bound
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"  # a filter: Docker's default


def test_it_gets_a_cpu_before_other_containers(wired: WiredLab) -> None:
    """A frame that waits for a CPU is late."""
    assert wired.wire._seen["HostConfig"]["CpuShares"] == 262_144


def test_nothing_of_its_file_system_can_be_written_but_its_two_folders(wired: WiredLab) -> None:
    mounts = wired.probe.container.run_checked(["cat", f"/proc/{wired.wire.pid}/mounts"])
    flags = {words[1]: words[3].split(",") for words in map(str.split, mounts.splitlines())}
    assert "ro" in flags["/"]
    assert {"rw", "nosuid", "nodev"} <= set(flags["/tmp"])  # noqa: S108
    assert {"rw", "noexec", "nosuid", "nodev"} <= set(flags["/run"])


def test_frames_pass_in_both_directions_and_each_has_its_own_netem(wired: WiredLab) -> None:
    """Ten datagrams down to each client; its kernel refuses them by ICMP, which goes up."""
    before = wired.received()
    wired.send(rate=1000, seconds=0.05)
    assert wait_until(lambda: wired.received() == [count + 10 for count in before], timeout_s=10)
    output = wired.ask({"do": "tc", "lines": "qdisc show dev vec0\nqdisc show dev vec1\n"})["output"]
    down, up = output.splitlines()
    assert '"kind":"netem"' in down
    assert '"kind":"netem"' in up


def test_a_request_that_cannot_be_met_is_answered_in_one_line(wired: WiredLab) -> None:
    spare = wired.ask({"do": "status"})["spare"]
    for request, message in (
        ({"do": "plug", "client": "absent", "bridge": "b1"}, "the wire has no interface absent"),
        ({"do": "tc", "lines": "qdisc show dev absent\n"}, 'tc in the wire: Cannot find device "absent"'),
        ({"do": "reboot"}, "unknown request {'do': 'reboot'}"),
    ):
        assert wired.ask(request) == {"error": message}
    assert wired.ask({"do": "status"}) == {"links": 9, "spare": spare}


def test_every_request_is_answered_while_20_000_datagrams_a_second_pass(wired: WiredLab) -> None:
    """And no datagram is lost. The load ends by itself."""
    before, seconds = wired.received(), 6
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(wired.send, rate=20_000, seconds=seconds)
        answers = wired.ask_often({"do": "tc", "lines": "qdisc show\n"}, 200)
        assert not load.done()
        sent = load.result()
    assert [answer.value for answer in answers if "output" not in answer.value] == []
    assert sent == 4000 * seconds
    assert wait_until(lambda: wired.received() == [count + sent for count in before], timeout_s=10), wired.received()
