"""One container of a lab: its properties and its output, and commands that are run in it.

:mod:`flume.lab.containers.engine` makes the objects; it passes the SDK's client and the translation of its errors, so
that this file imports neither.
"""

import contextlib
import socket
import ssl
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from flume.errors import EngineError
from flume.lab.containers import archive
from flume.lab.containers.attached import STDERR, STDOUT, AttachedIo, frames
from flume.lab.containers.tls_pump import plain_end
from flume.lab.containers.topology import LABEL_INDEX, LABEL_LAB, LABEL_PROGRAM, LABEL_ROLE, LABEL_RUN

Errors = Callable[[str], contextlib.AbstractContextManager[None]]


def _stream_and_reader(raw: Any) -> tuple[socket.socket, BinaryIO]:
    """Return the socket of the SDK's answer, and its buffered reader.

    The HTTP library's reader may have read frames together with the header of the answer. So reading must go on with
    that reader. The SDK itself reads from the socket, and now and then loses the first line.

    The answer no longer has its reader then: it would flush it when it is collected, after we have closed it, and
    Python 3.13 prints such an error.
    """
    answer = raw._response.raw._fp  # noqa: SLF001 - the SDK has no public method for this
    reader, answer.fp = answer.fp, None
    return (raw, reader) if isinstance(raw, ssl.SSLSocket) else (raw._sock, reader)  # noqa: SLF001


@contextlib.contextmanager
def _hijacked(raw: Any) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """Yield socket and reader of the SDK's answer, then close both; the SDK leaves them to the garbage collector."""
    stream, reader = _stream_and_reader(raw)
    with stream, reader:
        yield stream, reader


class Output(msgspec.Struct, frozen=True):
    """Functions that take a container's lines. One thread for each container calls them; they must not block."""

    on_line: Callable[[str], None]
    """Standard output."""
    on_error: Callable[[str], None]
    """Standard error."""


class ExecResult(msgspec.Struct, frozen=True):
    """The result of a command in a container."""

    code: int
    stdout: str
    stderr: str


class State(msgspec.Struct, frozen=True):
    """The state of a container in the engine. *health* is healthy, unhealthy, starting, or none without a check."""

    status: str
    exit_code: int
    health: str
    health_detail: str = ""


class Container:
    """An existing container. The properties are those of the last :meth:`refresh`."""

    def __init__(self, api: Any, errors: Errors, identity: str, name: str, host: str = "") -> None:
        """Use :class:`flume.lab.containers.engine.Engine` instead."""
        self._api = api
        self._errors = errors
        self._seen: dict[str, Any] = {}
        self.id = identity
        self.name = name
        self.host = host
        """The name of its engine's host in the hosts file; empty in a lab of one engine."""
        self.io: AttachedIo | None = None
        """The attachment that was made before the start, if the start had an output."""

    def refresh(self) -> None:
        """Read the properties from the engine again."""
        with self._errors(f"inspect {self.name}"):
            self._seen = self._api.inspect_container(self.id)

    def _label(self, key: str) -> str:
        return str((self._seen["Config"]["Labels"] or {}).get(key, ""))

    @property
    def lab(self) -> str:
        """The lab it belongs to."""
        return self._label(LABEL_LAB)

    @property
    def run(self) -> str:
        """The run that started it."""
        return self._label(LABEL_RUN)

    @property
    def role(self) -> str:
        """server, client, probe or wire."""
        return self._label(LABEL_ROLE)

    @property
    def program(self) -> str:
        """Of a client: ``flume``, or the name of another player."""
        return self._label(LABEL_PROGRAM) or "flume"

    @property
    def index(self) -> int | None:
        """Its number among the containers of its role."""
        text = self._label(LABEL_INDEX)
        return int(text) if text else None

    @property
    def pid(self) -> int:
        """Its first process, by its number on the engine's host; 0 if it does not run."""
        return int(self._seen["State"]["Pid"])

    @property
    def status(self) -> str:
        """In the engine's words: running, paused, exited, created, restarting, removing, dead."""
        return str(self._seen["State"]["Status"])

    @property
    def exit_code(self) -> int:
        """The exit status of its program; 0 while it runs."""
        return int(self._seen["State"]["ExitCode"])

    @property
    def was_started_again(self) -> bool:
        """Whether it has ended once since it was made."""
        return not str(self._seen["State"].get("FinishedAt", "0001")).startswith("0001")

    @property
    def address(self) -> str:
        """Its IPv4 address on the lab's network; empty if it has none."""
        networks = self._seen["NetworkSettings"]["Networks"].values()
        return next((one["IPAddress"] for one in networks if one["IPAddress"]), "")

    @property
    def image(self) -> str:
        """The name of its image."""
        return str(self._seen["Config"]["Image"])

    def state(self) -> State:
        """Read its present state from the engine."""
        self.refresh()
        seen = self._seen["State"]
        health = seen.get("Health") or {}
        last = (health.get("Log") or [{}])[-1].get("Output", "")
        return State(seen["Status"], seen["ExitCode"], health.get("Status", "none"), " ".join(last.split())[:300])

    def logs(self, *, tail: int | None = None) -> str:
        """Return its output so far, standard output and error, or the last *tail* lines of it."""
        with self._errors(f"read the log of {self.name}"):
            data: bytes = self._api.logs(self.id, tail="all" if tail is None else tail)
        return data.decode(errors="replace")

    def exec(self, arguments: Sequence[str], *, user: str = "", timeout_s: float = 180.0) -> ExecResult:
        """Run a command in it and return its result when it has ended.

        Raises :class:`EngineError` if the command cannot be started, or prints nothing for *timeout_s*.
        """
        with self._errors(f"run {arguments[0]} in {self.name}"):
            created = self._api.exec_create(self.id, list(arguments), user=user)
            with _hijacked(self._api.exec_start(created["Id"], socket=True)) as (stream, reader):
                stream.settimeout(timeout_s)
                output = {STDOUT: bytearray(), STDERR: bytearray()}
                for kind, data in frames(reader):
                    output[kind] += data
            code = self._api.exec_inspect(created["Id"])["ExitCode"]
        stdout, stderr = (output[kind].decode(errors="replace") for kind in (STDOUT, STDERR))
        return ExecResult(int(code), stdout, stderr)

    def run_checked(self, arguments: Sequence[str], *, user: str = "") -> str:
        """Run a command in it; return its standard output. Raises :class:`EngineError` with its output if it fails."""
        result = self.exec(arguments, user=user)
        if result.code:
            output = " ".join((result.stderr or result.stdout).split())[-300:]
            raise EngineError(f"{' '.join(arguments)[:80]} in {self.name} ended with status {result.code}: {output}")
        return result.stdout

    def attach(self, output: Output | None = None) -> AttachedIo:
        """Attach to its standard input; with *output* also to its output from now on."""
        wanted = int(output is not None)
        with self._errors(f"attach to {self.name}"):
            raw = self._api.attach_socket(
                self.id, params={"stdin": 1, "stdout": wanted, "stderr": wanted, "stream": 1, "logs": 0}
            )
        taker = output or Output(lambda _line: None, lambda _line: None)
        stream, reader = _stream_and_reader(raw)
        if isinstance(stream, ssl.SSLSocket):
            stream, reader = plain_end(stream, reader)
        return AttachedIo(self.name, stream, reader, taker.on_line, taker.on_error, input_only=output is None)

    def fetch(self, path: str, directory: Path) -> list[Path]:
        """Copy the file *path*, or the files of the folder *path*, from its image or volumes into *directory*.

        The engine cannot read a tmpfs. Raises :class:`EngineError`, also if the disk here is full.
        """
        with self._errors(f"copy {path} out of {self.name}"):
            # The answer of the SDK's get_archive() cannot be ended early, and until its end the engine locks the
            # container: after a full disk here the container could not be removed.
            url = self._api._url("/containers/{0}/archive", self.id)  # noqa: SLF001
            plain = {"Accept-Encoding": "identity"}  # compressing costs the engine four times the time it saves here
            response = self._api._get(url, params={"path": path}, headers=plain, stream=True)  # noqa: SLF001
            try:
                with contextlib.closing(response):
                    self._api._raise_for_status(response)  # noqa: SLF001
                    return archive.unpack_files(response.iter_content(1 << 20), directory)
            except tarfile.TarError as error:
                raise EngineError(f"{path} from {self.name} arrived incomplete: {error}") from error
            except OSError as error:
                if error.errno is None:  # an error of the HTTP library, not of the disk
                    raise
                raise EngineError(f"{path} from {self.name} could not be written to {directory}: {error}") from error

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Send it SIGTERM; kill it after *timeout_s*."""
        with self._errors(f"stop {self.name}"):
            self._api.stop(self.id, timeout=max(0, round(timeout_s)))
        self.refresh()

    def start(self) -> None:
        """Start it again, after it has ended."""
        with self._errors(f"start {self.name}"):
            self._api.start(self.id)
        self.refresh()

    def wait(self, *, timeout_s: float) -> int:
        """Wait for its end; return its exit status. Raises :class:`EngineError` with its last lines on a timeout."""
        try:
            with self._errors(f"wait for the end of {self.name}"):
                return int(self._api.wait(self.id, timeout=timeout_s)["StatusCode"])
        except EngineError as error:
            lines = " | ".join(self.logs(tail=3).splitlines())
            raise EngineError(f"{self.name} did not end within {timeout_s:g} s; its last lines: {lines}") from error

    def remove(self) -> None:
        """Remove it, running or not, with its anonymous volumes."""
        if self.io is not None:
            self.io.close()
        with self._errors(f"remove {self.name}"):
            self._api.remove_container(self.id, force=True, v=True)
