"""The comparison of a machine before and after: what is left is named, and what is another's is not."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.paths import ROOT
from support.residue import __main__ as program
from support.residue import parsing, reading
from support.residue.docker_objects import LabWatch, marks_of
from support.residue.values import Snapshot, Thing, compare, named_by

NFT = """table inet lab {
	set addresses {
		type ipv4_addr
		elements = { 198.18.0.10 }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		udp dport 5004 counter drop
		udp dport 5004 counter drop
	}
}
"""
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:138C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0
   1: 0100007F:138C 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0 100 0 0 10 0
"""
UDP6 = """  sl  local_address                         remote_address                        st inode
   9: 00000000000000000000000001000000:138C 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 99 2 0 0
"""
PACKET = """sk               RefCnt Type Proto  Iface R Rmem   User   Inode
ffff888100000000 3      3    0003   7     1 0      0      4711
"""
UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 12
0000000000000000: 00000003 00000000 00000000 0001 03 13 /run/docker.sock
"""
STAT = "4711 (a (b) c) {} 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 8812 0 0"


def thing(name: str, about: str = "", kind: str = "volume") -> Thing:
    return Thing(kind, name, about)


def test_what_is_new_is_left_and_what_has_gone_is_missing() -> None:
    kept, gone, new = thing("kept"), thing("gone"), thing("new")
    found = compare(Snapshot((kept, gone)), Snapshot((kept, new)))
    assert (found.left, found.missing, found.unread) == ((new,), (gone,), ())


def test_a_thing_is_the_same_whatever_is_said_about_it() -> None:
    """A process takes another name, a socket is handed on, an interface joins a bridge."""
    found = compare(Snapshot((thing("a", "before"),)), Snapshot((thing("a", "after"),)))
    assert (found.left, found.missing) == ((), ())


def test_things_of_one_name_and_two_kinds_are_two() -> None:
    found = compare(Snapshot((thing("a", kind="network"),)), Snapshot((thing("a", kind="container"),)))
    assert [one.kind for one in (*found.left, *found.missing)] == ["container", "network"]


def test_what_could_not_be_read_before_or_after_is_named() -> None:
    """It may hide what is left: nothing found is then no proof."""
    before, after = Snapshot((), {"rules": "forbidden"}), Snapshot((), {"sockets": "absent"})
    assert compare(before, after).unread == ("rules: forbidden", "sockets: absent")


@pytest.mark.parametrize(
    ("name", "about", "is_of_it"),
    [
        ("flumelab-a-media", "", True),
        ("/run/flumelab-a", "", True),
        ("flumelab-b-media", "", False),
        ("12 since tick 3", "python FLUME_LAB=a serve", True),
        ("12 since tick 3", "python FLUME_LAB=a-b serve", False),
        ("fw4711-1", "", True),
        ("fw47110-1", "", False),
        ("veth1a", "of br-0123456789ab", True),
        ("veth1a", "of br-0123456789abc", False),
        ('nft table ip filter: chain DOCKER: oifname != "br-0123456789ab" drop', "", True),
    ],
)
def test_a_thing_is_the_labs_by_a_whole_word(name: str, about: str, is_of_it: bool) -> None:
    marks = {"flumelab-a", "flumelab-a-", "FLUME_LAB=a", "fw4711-", "br-0123456789ab"}
    assert bool(named_by(marks, [thing(name, about)])) is is_of_it


def test_without_marks_nothing_is_named() -> None:
    assert named_by((), [thing("a")]) == ()


def test_rules_that_are_alike_are_counted() -> None:
    names = [one.name for one in parsing.nft_rules(NFT)]
    drop = "nft table inet lab: chain input: udp dport 5004 counter drop"
    assert names[-2:] == [drop, f"{drop} #2"]
    once = NFT.replace("\t\tudp dport 5004 counter drop\n", "", 1)
    found = compare(Snapshot(tuple(parsing.nft_rules(once))), Snapshot(tuple(parsing.nft_rules(NFT))))
    assert [one.name for one in found.left] == [f"{drop} #2"]


def test_only_sockets_that_take_something_are_named_each_with_its_process() -> None:
    owners = {"77": "process 5 flume-server"}
    assert parsing.inet_sockets(TCP, "tcp", owners) == [
        Thing("socket", "tcp 127.0.0.1:5004 inode 77", "process 5 flume-server")
    ]
    assert parsing.inet_sockets(UDP6, "udp6", {}) == [Thing("socket", "udp6 [::1]:5004 inode 99")]
    assert parsing.packet_sockets(PACKET, {}) == [Thing("socket", "packet on interface 7 inode 4711")]
    assert parsing.unix_sockets(UNIX, {}) == [Thing("socket", "unix /run/docker.sock inode 11")]


def test_a_process_is_known_by_its_start_and_names_its_lab_and_container() -> None:
    found = parsing.process(
        "4711", STAT.format("S"), b"flume\0serve\0", "4:memory:/docker/0abc\n0::/\n", b"FLUME_LAB=a\0K=1\0"
    )
    assert found == Thing("process", "4711 since tick 8812", "a (b) c FLUME_LAB=a flume serve /docker/0abc")
    assert parsing.process("4711", STAT.format("Z"), b"", "", b"") is None, "it has ended, and waits for its parent"


def test_marks_of_a_container_name_its_mounts_and_its_wire() -> None:
    about = {
        "GraphDriver": {"Data": {"MergedDir": "/var/lib/docker/overlay2/x/merged"}},
        "Mounts": [{"Type": "volume", "Name": "0abc"}, {"Type": "bind", "Source": "/etc"}],
        "HostConfig": {"NetworkMode": "none"},
        "NetworkSettings": {"SandboxKey": "/var/run/docker/netns/12"},
        "State": {"Pid": 4711},
    }
    assert marks_of(about) == {
        "/var/lib/docker/overlay2/x/merged",
        "0abc",
        "/var/run/docker/netns/12",
        "/run/docker/netns/12",
        "fw4711-",
    }
    ended = about | {"HostConfig": {"NetworkMode": "host"}, "State": {"Pid": 0}, "GraphDriver": None}
    assert marks_of(ended) == {"0abc"}, "a process that has ended has number 0, and all share the host's namespace"


def test_a_process_a_socket_and_a_file_that_are_left_on_this_machine_are_found(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(reading.FOLDERS, str(tmp_path), 2)
    before = reading.take()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "left").touch()
    listening = tmp_path / "listening"
    child = subprocess.Popen(
        [sys.executable, "-c", "print(); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"FLUME_LAB": "x-y"},
    )
    assert child.stdout is not None
    child.stdout.readline()  # a moment after execve its environment is still empty
    with socket.socket(socket.AF_UNIX) as left, child:
        left.bind(str(listening))
        left.listen()
        difference = compare(before, reading.take())
        found = "\n".join(map(str, named_by({str(tmp_path), "FLUME_LAB=x-y"}, difference.left)))
        child.kill()
    assert f"process {child.pid} since tick " in found
    assert f"file {tmp_path}/folder/left" in found
    assert f"socket unix {listening} inode " in found
    assert f"(process {os.getpid()} " not in found, "this process is not read, so its sockets have no owner"
    gone = named_by({"FLUME_LAB=x-y"}, compare(before, reading.take()).left)
    assert gone == (), "the process has ended"


def test_what_cannot_be_read_is_no_error_but_is_said(monkeypatch) -> None:
    monkeypatch.setattr("support.residue.reading.shutil.which", lambda _name: None)
    monkeypatch.setattr(reading, "is_root", lambda: True)
    taken = reading.take({"the engine": lambda: [thing(reading._output("false"))]})
    assert taken.unread["rules"] == "neither nft nor iptables-save is installed"
    assert taken.unread["the engine"].startswith("false: ")


def test_for_another_user_than_root_what_may_be_read_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "is_root", lambda: False)
    monkeypatch.setattr("support.residue.reading._output", lambda *_: "")
    taken = reading.take()
    assert taken.unread == {"rules": reading.ROOTS_OWN}
    assert {"process", "interface", "mount", "cgroup", "socket", "file"} <= {one.kind for one in taken.things}
    watch = LabWatch.__new__(LabWatch)
    watch._thread = threading.current_thread()
    watch._before, watch.marks = taken, {"flumelab-x"}
    for more, told in (({}, ()), ({"routes": "forbidden"}, ("not read: routes: forbidden",))):
        monkeypatch.setattr(watch, "_take", lambda more=more: Snapshot(taken.things, {**taken.unread, **more}))
        assert watch.left() == told


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/services:{ROOT}/tests", "DOCKER_HOST": "unix:///nowhere.sock"}
    command = [sys.executable, "-m", "support.residue", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_by_hand_it_names_what_is_left_and_what_is_missing(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], env=os.environ | {"FLUME_LAB": "gone"}) as gone:
        first = run()
        gone.send_signal(signal.SIGKILL)
    (tmp_path / "before.json").write_text(first.stdout)
    with subprocess.Popen(["sleep", "100"], env=os.environ | {"FLUME_LAB": "left"}) as left:
        second = run(tmp_path / "before.json", "--mark", "FLUME_LAB=gone", "--mark", "FLUME_LAB=left")
        left.kill()
    assert second.returncode == 1, second.stderr
    lines = second.stdout.splitlines()
    assert lines[0].startswith(f"left: process {left.pid} since tick ")
    assert lines[1].startswith(f"missing: process {gone.pid} since tick ")
    assert any(line.startswith("not read: the engine: no Docker engine") for line in lines), second.stdout


def test_its_status_says_whether_the_machine_is_as_before(capsys) -> None:
    nothing, left = compare(Snapshot(()), Snapshot(())), compare(Snapshot(()), Snapshot((thing("a"),)))
    unread = compare(Snapshot((), {"rules": "forbidden"}), Snapshot(()))
    assert [program._say(one, None) for one in (nothing, left, unread)] == [0, 1, 2]
    assert program._say(left, ["b"]) == 0
    assert capsys.readouterr().out.splitlines() == ["left: volume a", "not read: rules: forbidden"]
