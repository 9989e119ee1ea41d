"""The User Mode Linux kernel: its command line and its process."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence

from wire.mailbox import Mailbox
from wire.requests import WireError, one_line

USER = 10001
"""The kernel runs as this user and group, without any capability."""

FOLDER = "/tmp/wire"  # noqa: S108 - in the container
"""On a tmpfs that allows execution: the kernel maps its memory from a file there."""

READY_S = 30.0
"""Longest time for booting, which takes 1.5 s on an idle machine."""

MAX_LINKS = 56
"""The kernel's command line has at most 4,095 bytes, and describes each interface."""

_POLL_S = 0.005


def memory_mib(links: int) -> int:
    """Return the size of the kernel's memory.

    The kernel takes 20 MiB and 1.1 MiB a link. The rest is for packets that wait in netem, 2.4 KB each: 3,000 a link
    are 1.3 s of 25 Mbit/s. The container takes only the part that was ever used.
    """
    return 128 + 8 * links


def command_line(sockets: Sequence[tuple[int, int]]) -> list[str]:
    """Return the command that boots a kernel with two interfaces for each pair of file descriptors.

    >>> command_line([(5, 6)])[-2:]
    ['vec0:transport=fd,fd=5,mtu=1500', 'vec1:transport=fd,fd=6,mtu=1500']
    """
    descriptors = [one for pair in sockets for one in pair]
    # Without mtu each receive buffer would be 64 KiB.
    vectors = [f"vec{n}:transport=fd,fd={one},mtu=1500" for n, one in enumerate(descriptors)]
    return [
        *("/opt/flume/linux.uml", f"mem={memory_mib(len(sockets))}M", "initrd=/opt/flume/initramfs"),
        *("umid=wire", f"uml_dir={FOLDER}/", "con=null", "con0=null,fd:1", "ssl=null", "quiet", f"box={FOLDER}/box"),
        *vectors,
    ]


def interfaces(pair: int) -> tuple[str, str]:
    """Return the names of the kernel's interfaces of *pair*: the client's side, then the bridge's.

    >>> interfaces(2)
    ('vec4', 'vec5')
    """
    return f"vec{2 * pair}", f"vec{2 * pair + 1}"


class Kernel:
    """A kernel that was started. Thread-safe."""

    def __init__(self, sockets: Sequence[tuple[int, int]]) -> None:
        """Start it; it becomes the owner of *sockets*, given as file descriptors that stay open here as well."""
        os.makedirs(FOLDER, exist_ok=True)
        os.chmod(FOLDER, 0o777)  # noqa: S103 - the kernel's user makes a folder of its own in it
        self.mailbox = Mailbox(f"{FOLDER}/box")
        self._process = subprocess.Popen(
            command_line(sockets),
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
        self._last_line = ""
        self._log = threading.Thread(target=self._follow_log, name="log", daemon=True)
        self._log.start()

    def _follow_log(self) -> None:
        """Copy the kernel's console to standard error, and remember its last line."""
        for line in self._process.stdout or ():
            os.write(2, line.encode(errors="replace"))
            self._last_line = line.strip() or self._last_line

    def wait_until_ready(self) -> None:
        """Return when its interfaces are joined and it takes commands; raises :class:`WireError`."""
        until_s = time.monotonic() + READY_S
        while not self.mailbox.is_open:
            if self._process.poll() is not None:
                raise WireError(self.wait())
            if time.monotonic() > until_s:
                raise WireError(f"the kernel was not ready within {READY_S:g} s; {self._last_line}")
            time.sleep(_POLL_S)

    def wait(self) -> str:
        """Return why it ended, when it has."""
        status = self._process.wait()
        self._log.join(0.2)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return one_line(f"the kernel {how}; its last line: {self._last_line}")
