"""Hosts with settings of their own, each test with one host for itself; and that nothing is left of any."""

import os
import queue
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
import trustme

from flume.errors import EngineError
from flume.lab.containers import images
from flume.lab.containers.container import Output
from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.topology import Topology
from flume.lab.machine.process import wait_until
from support.labs.containers import ECHO, load_layout
from support.labs.nested import HostOptions, nested_engines, remove_stale
from support.labs.nested_host import LABEL
from support.paths import ROOT
from support.residue.docker_objects import readers
from support.residue.reading import take
from support.residue.values import compare, named_by

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PROBE = images.tag_of("probe")


def probe_as_client() -> Topology:
    """Return the topology with the probe's image for clients, which is the smallest with Python."""
    layout = load_layout()
    client = msgspec.structs.replace(layout.service("client"), image=PROBE, healthcheck=None)
    return msgspec.structs.replace(layout, services={**layout.services, "client": client})


def test_attachments_and_commands_work_on_an_engine_behind_tls(engine: Engine) -> None:
    """Such an engine asks for a certificate, and gives the SDK's caller the socket of TLS itself."""
    options = {"h1": HostOptions(authority=trustme.CA())}
    with nested_engines(engine, 1, images=[PROBE], options=options) as (host,):
        assert host.url.endswith(":2376")
        with pytest.raises(EngineError, match="DOCKER_TLS_VERIFY"):
            Engine.connect(environment={"DOCKER_HOST": host.url})
        with Engine.connect(environment=host.environment) as inner:
            lines: queue.Queue[str] = queue.Queue()
            errors: queue.Queue[str] = queue.Queue()
            layout = probe_as_client()
            client = inner.start_service(
                "tls",
                "run-1",
                layout,
                Start(
                    service="client",
                    role="client",
                    index=1,
                    network=inner.networks.ensure("tls", "run-1", description=layout.networks["lab"]),
                    entrypoint=("python3", "-c"),
                    command=(ECHO,),
                    output=Output(lines.put, errors.put),
                ),
            )
            assert lines.get(timeout=30) == "ready"
            assert errors.get(timeout=30) == "grumble"
            assert client.io is not None
            # Both directions at once: one thread reads what others write.
            written = [f"{number} {'x' * 2000}" for number in range(500)]
            for line in written:
                client.io.write_line(line)
            assert [lines.get(timeout=60) for _ in written] == [f"got {line}" for line in written]
            for number in range(10):
                assert client.run_checked(["echo", str(number)]) == f"{number}\n"
            # With 1 MB both of the engine's streams are larger than a record of TLS and a buffer of a socket.
            script = "import sys; sys.stderr.write('e' * 1000000); print('o' * 1000000)"
            result = client.run_checked(["python3", "-c", script])
            assert result == "o" * 1_000_000 + "\n"
            client.io.close()
            assert client.io.ended
            with client.attach(Output(lines.put, errors.put)):
                for number in range(20):
                    with client.attach() as steering:  # input alone: closing it must not overtake the line
                        steering.write_line(f"again {number}")
                assert [lines.get(timeout=30) for _ in range(20)] == [f"got again {number}" for number in range(20)]


def test_a_host_has_a_time_zone_files_and_an_sshd_of_its_own(engine: Engine, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = {"h1": HostOptions(environment={"TZ": "Asia/Tokyo"}, files={"/etc/flumelab/note": b"hello"})}
    with nested_engines(engine, 1, options=options) as (host,):
        (tmp_path / "known_hosts").write_text(host.allow_ssh(key.with_suffix(".pub").read_text().strip()) + "\n")
        ssh = ["ssh", "-F", "/dev/null", "-i", str(key), "-o", "BatchMode=yes"]
        ssh += ["-o", f"UserKnownHostsFile={tmp_path}/known_hosts", f"root@{host.address}"]
        done = subprocess.run([*ssh, "docker", "info", "--format", "{{.Name}}"], stdout=subprocess.PIPE, check=True)
        assert done.stdout == b"h1\n"
        assert host.run("date", "+%Z") == "JST\n"
        assert host.run("cat", "/etc/flumelab/note") == "hello"


def test_an_argument_that_its_engine_refuses_is_shown_in_the_engines_words(engine: Engine) -> None:
    options = {"h1": HostOptions(daemon=("--no-such-argument",))}
    with pytest.raises(AssertionError, match="no-such-argument"), nested_engines(engine, 1, options=options):
        pass


def test_nothing_is_left_of_a_run_that_was_killed_once_the_next_one_begins(engine: Engine) -> None:
    """Not of the host, nor of a container on it: in the engine, the kernel and the file systems of this machine."""
    program = f"""
        import trustme
        from flume.lab.containers.engine import Engine
        from support.labs.nested import HostOptions, nested_engines
        with Engine.connect() as engine:
            options = {{"h1": HostOptions(authority=trustme.CA())}}
            with nested_engines(engine, 1, images=[{PROBE!r}], options=options) as (host,):
                with host.connect() as inner:
                    api = inner._api
                    created = api.create_container({PROBE!r}, command=["sleep", "infinity"])
                    api.start(created)
                print(host.container.name, host.container.id, created["Id"], flush=True)
                input()
    """
    with_paths = {**os.environ, "PYTHONPATH": f"{ROOT}/services:{ROOT}/tests"}
    before = take(readers(engine))
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=with_paths,
    ) as run:
        assert run.stdout is not None
        name, *identities = run.stdout.readline().split()
        run.send_signal(signal.SIGKILL)
    marks = {name.removesuffix("h1"), name.removesuffix("-h1"), *identities}

    def left() -> list[str]:
        return [str(one) for one in named_by(marks, compare(before, take(readers(engine))).left)]

    remains = " ".join(left())
    assert all(word in remains for word in ("container", "network", "volume", "process", "cgroup", "file", LABEL))
    remove_stale(engine)
    assert wait_until(lambda: not left(), timeout_s=30), left()
