"""An engine on another host, reached by the system's ``ssh``: a socket here leads to the engine's socket there.

Keys, known hosts and configuration are the user's own; nothing is asked at the terminal.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from flume.errors import EngineError
from flume.lab.hosts.hosts_file import SshAddress
from flume.lab.machine.process import has_gone, last_line, start_ticks, wait_until

CONNECT_S = 10
"""How long a host may take to accept a connection."""

_ANSWER_S = 30.0
"""From the start of ``ssh`` to the socket: with the time that logging in takes."""

_OPTIONS = {
    "BatchMode": "yes",  # no questions: a terminal may not be there, and several tunnels are opened at once
    "ExitOnForwardFailure": "yes",
    "ConnectTimeout": str(CONNECT_S),
    # A host that has gone is found within 20 s, and ssh ends.
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "4",
    # A connection of its own: one that is shared would end with another program's, or leave it the forwarding.
    "ControlMaster": "no",
    "ControlPath": "none",
    "StreamLocalBindMask": "0177",
}
_END_S = 3.0

_LONGEST_PATH = 100
"""The path of a Unix socket has at most 107 bytes (unix(7)), and ssh first adds some of its own."""

_PREFIX = "flumelab-ssh-"
_FOLDER = re.compile(rf"{_PREFIX}(\d+)-(\d+)-\w+")

_CURES = {
    r"Host key verification failed|REMOTE HOST IDENTIFICATION": "compare and accept its key once by hand: {ssh} true",
    r"Permission denied|Too many authentication failures": "it must accept one of your keys: ssh-copy-id, and ssh-add "
    "for a key with a passphrase; to try it: {ssh} true",
    r"(?i)could not resolve": "is the name in the hosts file right?",
    r"(?i)timed out|refused|no route|unreachable": "is the host on, does its sshd run, and is the port right?",
    r"(?i)prohibited|open failed": "may this user use docker there (to try it: {ssh} docker version), and does its "
    "sshd_config have AllowStreamLocalForwarding yes?",
}
"""In the last line that ssh printed → what a person can do. The first match counts."""


class Tunnel:
    """A running ``ssh``. It ends with this process, however that ends.

    Example::

        tunnel = Tunnel(ssh_address("ssh://ann@rack.example"))
        Engine.connect(Endpoint(f"unix://{tunnel.socket}"))
        tunnel.close()
    """

    def __init__(self, address: SshAddress, *, timeout_s: float = _ANSWER_S) -> None:
        """Log in at *address*; return when the socket is there. Raises :class:`EngineError` with ssh's own words."""
        program = shutil.which("ssh")
        if program is None:
            raise EngineError("there is no ssh on this machine: apt-get install openssh-client")
        self._address = address
        _remove_left()
        self._folder = _private_folder()
        self.socket = self._folder / "s"
        """The path of the socket that leads to the engine."""
        self._log = self._folder / "log"
        held, self._lifeline = os.pipe()
        try:
            with self._log.open("wb") as log:
                # In a session of its own: Ctrl-C at the terminal ends the lab, which still needs the tunnel for that.
                self._process = subprocess.Popen(
                    [program, *self._arguments()], stdin=held, stdout=log, stderr=log, start_new_session=True
                )
        except BaseException:
            os.close(self._lifeline)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        else:
            _end_with_the_writer(held, self._process.pid)
        finally:
            os.close(held)
        try:
            self._wait(timeout_s)
        except BaseException:
            self.close()
            raise

    def _arguments(self) -> list[str]:
        options = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
        port = [] if self._address.port is None else ["-p", str(self._address.port)]
        forward = ["-L", f"{self.socket}:{self._address.socket}"]
        return ["-NTax", *options, *port, *forward, "--", self._address.destination]

    def _wait(self, timeout_s: float) -> None:
        wait_until(
            lambda: self.socket.exists() or self._process.poll() is not None, timeout_s=timeout_s, interval_s=0.02
        )
        if self._process.poll() is not None:
            raise EngineError(self.reason() or f"ssh ended with status {self._process.returncode}")
        if not self.socket.exists():
            raise EngineError(f"ssh has not logged in within {timeout_s:g} s: {self._try_it()} true")

    def reason(self) -> str:
        """Return the last line that ssh printed, with what a person can do about it; empty: it printed none."""
        with contextlib.suppress(OSError):
            if text := self._log.read_text(errors="replace").strip():
                said = last_line(text)
                cure = next((cure for pattern, cure in _CURES.items() if re.search(pattern, said)), None)
                return f"ssh says: {said}; {cure.format(ssh=self._try_it())}" if cure else f"ssh says: {said}"
        return ""

    def _try_it(self) -> str:
        port = "" if self._address.port is None else f"-p {self._address.port} "
        return f"ssh {port}{self._address.destination}"

    def close(self) -> None:
        """End it, and remove the socket; a second call does nothing."""
        if self._lifeline < 0:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._lifeline)
        self._lifeline = -1
        shutil.rmtree(self._folder, ignore_errors=True)


def _end_with_the_writer(pipe: int, pid: int) -> None:
    """Let the kernel end process *pid*, which has *pipe* open, once no process holds the pipe's other end."""
    fcntl.fcntl(pipe, fcntl.F_SETOWN, pid)
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _private_folder() -> Path:
    """Return a new folder that only this user can enter; its name says whose it is, and its path is short."""
    prefix = f"{_PREFIX}{os.getpid()}-{start_ticks(os.getpid()) or 0}-"
    short = len(tempfile.gettempdir()) + len(prefix) + 12 < _LONGEST_PATH
    return Path(tempfile.mkdtemp(prefix=prefix, dir=None if short else "/tmp"))  # noqa: S108 - mkdtemp makes it private


def _remove_left() -> None:
    """Remove the folders of processes that were killed."""
    for folder in {Path(tempfile.gettempdir()), Path("/tmp")}:  # noqa: S108 - as above
        for path in folder.glob(f"{_PREFIX}*"):
            match = _FOLDER.fullmatch(path.name)
            if match and has_gone(int(match[1]), int(match[2])):
                shutil.rmtree(path, ignore_errors=True)
