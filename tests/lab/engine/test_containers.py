"""Labs on a real Docker engine: containers are as described, labs are separate, and clean-up leaves nothing."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flume.errors import EngineError
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Output, Start
from flume.lab.containers.topology import Topology
from support.labs.containers import ECHO, load_layout, send, start_lab
from support.paths import ROOT, SERVICES
from support.residue.docker_objects import LabWatch

pytestmark = pytest.mark.docker


def test_containers_are_as_described(engine: Engine, layout: Topology, lab: str, tmp_path: Path) -> None:
    """The labels are set, and the video is in its place before the program starts."""
    video = tmp_path / "film.ts"
    video.write_bytes(os.urandom(3 << 20))
    network = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"])
    seen: list[tuple[int, int]] = []
    start = Start(
        service="server",
        role="server",
        network=network,
        files={"/media/film.ts": video},
        progress=lambda done, total: seen.append((done, total)),
        entrypoint=("sha256sum",),
        command=("/media/film.ts",),
    )
    server = engine.start_service(lab, "run-1", layout, start)
    assert server.wait(timeout_s=20) == 0
    expected = subprocess.run(["sha256sum", video], capture_output=True, text=True, check=True).stdout.split()[0]
    assert server.logs().split() == [expected, "/media/film.ts"]
    assert seen[-1] == (3 << 20, 3 << 20)
    assert (server.lab, server.run, server.role, server.index) == (lab, "run-1", "server", None)


def test_a_client_has_no_rights_and_its_own_address(engine: Engine, layout: Topology, lab: str) -> None:
    """It is not root, can write only to its tmpfs, has no capability, and is found by its labels."""
    server, (client,), _ = start_lab(engine, layout, lab)
    assert client.address == server.address.rpartition(".")[0] + ".11"
    assert client.exec(["id", "-u"]).stdout.strip() == "10001"
    assert client.exec(["touch", "/opt/x"]).code != 0
    assert client.exec(["touch", "/run/flume/x"]).code == 0
    assert "CapEff:\t0000000000000000" in client.exec(["cat", "/proc/self/status"]).stdout
    assert client.exec(["python3", "-c", "import socket; print(socket.gethostbyname('server'))"]).stdout.strip() == (
        server.address
    )
    assert [one.name for one in engine.find(lab=lab, role="client")] == [client.name]
    assert engine.find(lab=lab, run="another") == []


def test_each_container_is_confined_as_described(engine: Engine, layout: Topology, lab: str) -> None:
    """Read back from the engine and from the running processes: rights, memory, processes, descriptors."""
    server, (client,), probe = start_lab(engine, layout, lab)
    for container, service in ((server, "server"), (client, "client"), (probe, "probe")):
        asked = layout.service(service)
        assert asked.mem_limit is not None
        given = engine._api.inspect_container(container.id)["HostConfig"]
        assert given["Memory"] == int(asked.mem_limit.removesuffix("g")) << 30, service
        assert given["PidsLimit"] == asked.pids_limit, service
        assert given["ReadonlyRootfs"] is True
        assert given["Privileged"] is False
        assert {one.removeprefix("CAP_") for one in given["CapDrop"]} == {"ALL"}
        assert {one.removeprefix("CAP_") for one in given["CapAdd"] or ()} == set(asked.cap_add), service
        limits = container.exec(["cat", "/proc/self/limits"]).stdout
        descriptors = asked.ulimits["nofile"]
        assert re.search(rf"^Max open files +{descriptors} +{descriptors} ", limits, re.MULTILINE), limits
        status = container.exec(["cat", "/proc/self/status"]).stdout
        assert "NoNewPrivs:\t1\n" in status, service
        assert "Seccomp:\t2\n" in status, service


def test_lines_come_out_and_commands_go_in(engine: Engine, layout: Topology, lab: str) -> None:
    """From the first line on, and through a second attachment too."""
    lines: queue.Queue[str] = queue.Queue()
    errors: queue.Queue[str] = queue.Queue()
    _, (client,), _ = start_lab(engine, layout, lab, program=ECHO, output=Output(lines.put, errors.put))
    assert client.io is not None
    assert lines.get(timeout=10) == "ready"
    assert errors.get(timeout=10) == "grumble"
    client.io.write_line("interrupt")
    assert lines.get(timeout=10) == "got interrupt"
    with client.attach() as other:
        other.write_line("continue")
        assert lines.get(timeout=10) == "got continue"
    client.io.write_line("still here")
    assert lines.get(timeout=10) == "got still here"
    client.stop(timeout_s=0)
    client.io.close()
    assert client.io.ended


def test_quick_commands_lose_no_output(engine: Engine, layout: Topology, lab: str) -> None:
    """The output of a command that ends at once arrives every time, stdout and stderr separately."""
    _, (client,), _ = start_lab(engine, layout, lab)

    def run(number: int) -> bool:
        result = client.exec(["sh", "-c", f"echo out{number}; echo err{number} >&2; exit {number}"])
        return (result.code, result.stdout, result.stderr) == (number, f"out{number}\n", f"err{number}\n")

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(40)))
    with pytest.raises(EngineError, match="ended with status 3: oh no"):
        client.run_checked(["sh", "-c", "echo oh no >&2; exit 3"])
    with pytest.raises(EngineError, match="no-such-program"):
        client.run_checked(["no-such-program"])


def test_two_labs_at_once_do_not_meet(engine: Engine, layout: Topology, new_lab: Callable[[], str], watch) -> None:
    """Started in parallel they get different subnets and cannot reach each other; removing one leaves the other."""
    names = [new_lab(), new_lab()]
    watched = watch(names[0])
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda name: start_lab(engine, layout, name), names)
    assert first[0].address.rpartition(".")[0] != second[0].address.rpartition(".")[0]
    listen = "import socket; s = socket.create_server(('', 5004)); s.accept()"
    first[0].exec(["python3", "-c", f"import os\nif os.fork() == 0:\n os.close(1); os.close(2); {listen}"])
    reach = f"import socket; socket.create_connection(('{first[0].address}', 5004), timeout=1)"
    own, other = (clients[0].exec(["python3", "-c", reach]) for _, clients, _ in (first, second))
    assert own.code == 0, own.stderr
    assert other.code != 0
    engine.remove_lab(names[0])
    watched.assert_nothing_left()
    assert {one.state().status for one in engine.find(lab=names[1])} == {"running"}


def test_a_subnet_that_another_lab_took_meanwhile_is_passed_over(
    engine: Engine, layout: Topology, new_lab: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both listed the subnets before either created one: the engine refuses the second, which takes the next subnet."""
    monkeypatch.setattr(engine.networks, "taken_subnets", tuple)
    monkeypatch.setattr("flume.lab.containers.network_store.zlib.crc32", lambda _data: 300)
    first, second = (engine.networks.ensure(new_lab(), "run-1", description=layout.networks["lab"]) for _ in range(2))
    assert (first.subnet, second.subnet) == ("198.19.44.0/24", "198.19.45.0/24")


def test_a_lab_keeps_its_network(engine: Engine, layout: Topology, lab: str) -> None:
    """A second call returns the same network."""
    first = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"])
    assert engine.networks.ensure(lab, "run-2", description=layout.networks["lab"]) == first
    assert first.gateway == first.subnet.replace("0/24", "1")


def test_clean_up_after_the_runner_was_killed(
    engine: Engine, layout: Topology, new_lab: Callable[[], str], watch: Callable[[str], LabWatch]
) -> None:
    """A runner that was killed by SIGKILL leaves a lab, which is removed by its labels; another lab is not touched."""
    killed, bystander = new_lab(), new_lab()
    watched = watch(killed)
    engine.networks.ensure(bystander, "run-1", description=layout.networks["lab"])
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from support.labs.containers import *\n"
        "start_lab(Engine.connect(), load_layout(), sys.argv[1], clients=2)\n"
        "print('up', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, killed, str(ROOT / "tests"), str(SERVICES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"up\n"
        runner.send_signal(signal.SIGKILL)
    assert {one.kind for one in engine.objects(lab=killed)} == {"container", "network", "volume"}
    removed = engine.remove_lab(killed)
    assert f"container flumelab-{killed}-client-2" in removed
    watched.assert_nothing_left()
    assert engine.remove_lab(killed) == []
    assert [one.kind for one in engine.objects(lab=bystander)] == ["network"]


def test_a_container_that_goes_while_all_are_listed_is_left_out(
    engine: Engine, layout: Topology, lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `make status` beside `make down`: the container is removed between its listing and its inspection."""
    _, (client,), _ = start_lab(engine, layout, lab)
    api = engine._api
    listed = api.containers

    def list_and_remove(**arguments: object) -> object:
        found = listed(**arguments)
        client.remove()
        return found

    monkeypatch.setattr(api, "containers", list_and_remove)
    assert [one.role for one in engine.find(lab=lab)] == ["probe", "server"]


def test_two_clean_ups_at_the_same_time_both_succeed(engine: Engine, layout: Topology, lab: str, watch) -> None:
    """A second `make down` while the first still runs succeeds too."""
    watched = watch(lab)
    start_lab(engine, layout, lab, clients=2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(engine.remove_lab, [lab, lab]))
    watched.assert_nothing_left()


def test_a_failed_start_names_the_container_and_leaves_it_to_be_found(
    engine: Engine, layout: Topology, lab: str
) -> None:
    """A missing image and a missing program are one line each."""
    network = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"])
    broken = Start(service="client", role="client", index=1, network=network, entrypoint=("/no/such/program",))
    with pytest.raises(EngineError, match=rf"start flumelab-{lab}-client-1.*no such file") as caught:
        engine.start_service(lab, "run-1", layout, broken)
    assert "\n" not in str(caught.value)
    absent = topology.load("services:\n  client:\n    image: flumelab/no-such-image\n")
    with pytest.raises(EngineError, match="no-such-image"):
        engine.start_service(lab, "run-1", absent, Start(service="client", role="client", index=2, network=network))


def test_a_container_that_does_not_end_says_its_last_lines(engine: Engine, layout: Topology, lab: str) -> None:
    """The error of a timeout has the last lines of output."""
    ready = threading.Event()
    _, (client,), _ = start_lab(engine, layout, lab, program=ECHO, output=Output(lambda _: ready.set(), lambda _: None))
    assert ready.wait(10)
    with pytest.raises(EngineError, match=r"did not end within 1 s; its last lines: .*ready"):
        client.wait(timeout_s=1)


def test_the_whole_lab_starts_quickly(engine: Engine, lab: str) -> None:
    """Network, server, five clients and probe take 2 s on two CPUs."""
    server, clients, _ = start_lab(engine, load_layout(), lab, clients=5)
    assert [client.address.rpartition(".")[2] for client in clients] == ["11", "12", "13", "14", "15"]
    send(server, clients[4].address, count=10)
