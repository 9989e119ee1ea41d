"""The lab kernel's disk: a sparse ext4 file with the lab's images on it, filled once for each set of images.

A second Docker engine on this machine fills it: its data directory is that file. Here that takes 10 to 25 s; inside the
lab kernel it took 50 s and more. A kernel uses the disk copy-on-write and never changes it.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flume.errors import EngineError, SetupError
from flume.lab import progress
from flume.lab.containers.engine import Engine
from flume.lab.containers.images import TARGETS, tag_of
from flume.lab.machine import dockerd
from flume.lab.machine.process import last_line, tail, wait_until
from flume.lab.progress import Say

SIZE = "20G"
"""The file is sparse: unused blocks take no room. The captures of a long run are kept on it."""

PREFIX = "lab-disk-"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_SCRIPT = Path(__file__).parent / "fill.sh"


def tags() -> list[str]:
    """Return the images that a lab needs."""
    return [tag_of(target) for target in TARGETS]


def name_for(identities: Sequence[str]) -> str:
    """Return the file name of the disk; it changes with the images, the size and the script that fills the disk."""
    parts = "\0".join([*identities, SIZE, _SCRIPT.read_text()])
    return f"{PREFIX}{hashlib.sha256(parts.encode()).hexdigest()[:16]}.ext4"


def ensure_disk(builder: Engine, cache: Path, say: Say, *, interactive: bool = False) -> Path:
    """Return the disk with the present images of *builder*; make it when there is none.

    Disks of earlier images are removed. A kernel that has one open keeps it: the file lives on without a name.
    """
    images = [builder.images.find(tag) for tag in tags()]
    missing = [tag for tag, image in zip(tags(), images, strict=True) if image is None]
    if missing:
        raise SetupError(f"the lab kernel needs the images {', '.join(missing)}, and the engine does not have them")
    found = [image for image in images if image is not None]
    target = cache / name_for([image.id for image in found])
    if not target.exists():
        cache.mkdir(exist_ok=True)
        say("Filling the lab kernel's disk with the lab's images (once for each build of them).")
        with progress.task("disk of the lab kernel", interactive=interactive) as bar:
            _fill(builder, target, bar)
    for old in cache.glob(f"{PREFIX}*.ext4"):
        if old != target:
            old.unlink(missing_ok=True)
    return target


def _fill(builder: Engine, target: Path, bar: progress.Task) -> None:
    """Make the file *target*; it gets its name when it is complete."""
    with tempfile.TemporaryDirectory(prefix="unfinished-disk-", dir=target.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _second_engine(folder) as endpoint:
            environment = {**os.environ, "DOCKER_HOST": endpoint}
            for variable in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
                environment.pop(variable, None)
            with Engine.connect(environment=environment) as second:
                builder.images.copy_to(
                    second.images, tags(), progress=lambda sent: bar.update(text=f"images: {sent >> 20} MB")
                )
                absent = [tag for tag in tags() if second.images.find(tag) is None]
                if absent:
                    raise EngineError(f"the lab kernel's disk did not take the images {', '.join(absent)}")
        (folder / "disk").rename(target)


@contextlib.contextmanager
def _second_engine(folder: Path) -> Iterator[str]:
    """Run the engine of ``fill.sh`` during the body; yield its address. The disk is complete after the body.

    Its socket is in a folder with a short path, because the name of a Unix socket has at most 107 bytes.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    with tempfile.TemporaryDirectory(prefix="flumelab-fill-") as short, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child"),
                *("sh", str(_SCRIPT), str(folder), SIZE, str(Path(short) / "engine")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        try:
            endpoint = f"unix://{short}/engine"
            _wait_until_engine_answers(process, Path(short) / "engine", folder / "log")
            yield endpoint
            _end(process, folder)
        finally:
            process.kill()  # --kill-child: the engine ends too, and the mount with its namespace
            process.wait()


def _wait_until_engine_answers(process: "subprocess.Popen[bytes]", socket: Path, log: Path) -> None:
    def alive() -> bool:
        if process.poll() is not None:
            raise SetupError(f"the disk of the lab kernel could not be made: {last_line(tail(log))}")
        return dockerd.answers(timeout_s=1.0, path=socket)

    if not wait_until(alive, timeout_s=_START_TIMEOUT_S):
        raise SetupError(f"the engine that fills the lab kernel's disk did not answer within {_START_TIMEOUT_S:g} s")


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Let the engine finish its files and the script unmount the disk."""
    (folder / "stop").touch()
    try:
        status = process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise SetupError("the engine that fills the lab kernel's disk did not end: is the disk very slow?") from None
    if status:
        output = last_line(tail(folder / "log"))
        raise SetupError(f"the disk of the lab kernel was not finished (status {status}): {output}")


def remove_disks(cache: Path) -> list[str]:
    """Remove every disk; return their names."""
    found = sorted(cache.glob(f"{PREFIX}*.ext4"))
    for path in found:
        path.unlink(missing_ok=True)
    for path in cache.glob("unfinished-disk-*"):
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in found]
