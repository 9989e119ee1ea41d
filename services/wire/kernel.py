"""The User Mode Linux kernel: its command line and its process."""

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from wire.mailbox import Mailbox
from wire.requests import WireError, one_line

USER = 10001
"""The kernel runs as this user and group, without any capability."""

FOLDER = "/tmp/wire"  # noqa: S108 - in the container
"""On a tmpfs that allows execution: the kernel maps its memory from a file there."""

READY_S = 30.0
"""Longest time for booting, which takes 1.5 s on an idle machine; all attempts of :func:`boot` together."""

BOOTS = 3
"""How often a kernel is booted that ends before it is ready."""

SHOWN_LINES = 5
"""Lines of the console by which the end of a kernel is explained."""

MAX_LINKS = 56
"""The kernel's command line has at most 4,095 bytes, and describes each interface."""

_POLL_S = 0.005

_KEPT_LINES = 200


class KernelEndedError(WireError):
    """The kernel ended before it was ready."""


def memory_mib(links: int) -> int:
    """Return the size of the kernel's memory.

    The kernel takes 20 MiB and 1.1 MiB a link. The rest is for packets that wait in netem, 2.4 KB each: 3,000 a link
    are 1.3 s of 25 Mbit/s. The container takes only the part that was ever used.
    """
    return 128 + 8 * links


def command_line(sockets: Sequence[tuple[int, int]], folder: str = FOLDER) -> list[str]:
    """Return the command that boots a kernel with two interfaces for each pair of file descriptors.

    *folder* is for its files; two kernels need two folders.

    >>> command_line([(5, 6)])[-2:]
    ['vec0:transport=fd,fd=5,mtu=1500', 'vec1:transport=fd,fd=6,mtu=1500']
    """
    descriptors = [one for pair in sockets for one in pair]
    # Without mtu each receive buffer would be 64 KiB.
    vectors = [f"vec{n}:transport=fd,fd={one},mtu=1500" for n, one in enumerate(descriptors)]
    return [
        *("/opt/flume/linux.uml", f"mem={memory_mib(len(sockets))}M", "initrd=/opt/flume/initramfs"),
        *("umid=wire", f"uml_dir={folder}/", "con=null", "con0=null,fd:1", "ssl=null", "quiet", f"box={folder}/box"),
        *vectors,
    ]


def interfaces(pair: int) -> tuple[str, str]:
    """Return the names of the kernel's interfaces of *pair*: the client's side, then the bridge's.

    >>> interfaces(2)
    ('vec4', 'vec5')
    """
    return f"vec{2 * pair}", f"vec{2 * pair + 1}"


def explanation(lines: Iterable[str]) -> str:
    """Return, in one line, what the console's *lines* say of an end: from a panic on, or the last ones.

    >>> explanation(["quiet", "Kernel panic - not syncing: no init", "Call Trace:", *("[<6000>]",) * 30])
    'Kernel panic - not syncing: no init; Call Trace:; [<6000>]; [<6000>]; [<6000>]'
    >>> explanation(["RTNETLINK answers: Invalid argument", "", "reboot: System halted"])
    'RTNETLINK answers: Invalid argument; reboot: System halted'
    """
    said = [text for line in lines if (text := " ".join(line.split()))]
    panic = next((at for at, line in enumerate(said) if "Kernel panic" in line), None)
    shown = said[-SHOWN_LINES:] if panic is None else said[panic : panic + SHOWN_LINES]
    return "; ".join(shown) or "it wrote nothing"


class Kernel:
    """A kernel that was started. Thread-safe."""

    def __init__(self, sockets: Sequence[tuple[int, int]], attempt: int = 1) -> None:
        """Start it; it becomes the owner of *sockets*, given as file descriptors that stay open here as well.

        *attempt* names the folder of its files: what an earlier kernel has left is not this one's.
        """
        folder = f"{FOLDER}/{attempt}"
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)  # noqa: S103 - the kernel's user makes a folder of its own in it
        self.mailbox = Mailbox(f"{folder}/box")
        self._process = subprocess.Popen(
            command_line(sockets, folder),
            pass_fds=[one for pair in sockets for one in pair],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            user=USER,
            group=USER,
            extra_groups=[],
            start_new_session=True,
            env={"TMPDIR": "/tmp", "PATH": "/bin"},  # noqa: S108 - Docker's /dev/shm allows no execution
        )
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._log = threading.Thread(target=self._follow_log, name="log", daemon=True)
        self._log.start()

    def _follow_log(self) -> None:
        """Copy the kernel's console to standard error, and remember its lines."""
        for line in self._process.stdout or ():
            os.write(2, line.encode(errors="replace"))
            self._lines.append(line)

    def wait_until_ready(self, *, until_s: float) -> None:
        """Return when its interfaces are joined and it takes commands.

        Raises :class:`KernelEndedError` when it has ended, :class:`WireError` after the time *until_s* (monotonic).
        """
        while not self.mailbox.is_open:
            if self._process.poll() is not None:
                raise KernelEndedError(self.wait())
            if time.monotonic() > until_s:
                raise WireError(f"the kernel was not ready within {READY_S:g} s; {explanation(tuple(self._lines))}")
            time.sleep(_POLL_S)

    def wait(self) -> str:
        """Return why it ended, when it has."""
        status = self._process.wait()
        self._log.join(0.2)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return one_line(f"the kernel {how}; its last lines: {explanation(tuple(self._lines))}")

    def end_helpers(self) -> None:
        """End what a kernel that has ended leaves: helpers with its sockets, which would answer beside the next one."""
        # As its user: this process may have no capability to end another user's.
        command = ["/bin/sh", "-c", f"kill -KILL -{self._process.pid}"]
        subprocess.run(command, user=USER, group=USER, extra_groups=[], stderr=subprocess.DEVNULL, check=False)


def boot(
    sockets: Sequence[tuple[int, int]],
    *,
    say: Callable[[str], None],
    start: Callable[[Sequence[tuple[int, int]], int], Kernel] = Kernel,
) -> Kernel:
    """Return a kernel that is ready for links; one that ends before is booted again, :data:`BOOTS` times in all.

    *say* takes a line about each further attempt. Raises :class:`WireError` with the end of the last one, and when no
    kernel is ready within :data:`READY_S`.
    """
    until_s = time.monotonic() + READY_S
    attempt = 1
    while True:
        kernel = start(sockets, attempt)
        try:
            kernel.wait_until_ready(until_s=until_s)
        except KernelEndedError as error:
            if attempt == BOOTS:
                raise WireError(f"no kernel was ready in {BOOTS} attempts: {error}") from error
            kernel.end_helpers()
            attempt += 1
            say(f"wire: before it was ready, {error}; booting it again, attempt {attempt} of {BOOTS}")
        else:
            return kernel
