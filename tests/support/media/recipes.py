"""Generated inputs: a recipe is a list of steps, made once in a folder of its own under .cache."""

import dataclasses
import hashlib
import inspect
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from support.media import ffmpeg
from support.paths import CACHE


@dataclasses.dataclass(frozen=True)
class Ffmpeg:
    """A call of the static ffmpeg in the recipe's folder."""

    arguments: str

    def run(self, folder: Path) -> None:
        done = ffmpeg.call("-v", "error", "-y", *shlex.split(self.arguments), folder=folder)
        assert done.returncode == 0, f"{self.arguments}\n{done.stderr.decode(errors='replace')}"

    def key(self) -> str:
        return self.arguments


@dataclasses.dataclass(frozen=True)
class Python:
    """A call of *function* with the recipe's folder and *arguments*."""

    function: Callable[..., None]
    arguments: tuple[object, ...]

    def run(self, folder: Path) -> None:
        self.function(folder, *self.arguments)

    def key(self) -> str:
        return f"{inspect.getsource(self.function)}{self.arguments!r}"


Step = Ffmpeg | Python


def ff(arguments: str) -> Ffmpeg:
    """Return a step: ffmpeg with *arguments*, split as a shell does."""
    return Ffmpeg(arguments)


def py(function: Callable[..., None], *arguments: object) -> Python:
    """Return a step: ``function(folder, *arguments)``."""
    return Python(function, arguments)


def write(name: str, content: str | bytes) -> Python:
    """Return a step that writes *content* into the file *name*."""
    return py(_write, name, content)


def _write(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def make(name: str, steps: tuple[Step, ...]) -> Path:
    """Return the folder that *steps* filled, now or in an earlier run."""
    program = Path(ffmpeg.program()).name
    digest = hashlib.sha256("\0".join([program, *(step.key() for step in steps)]).encode("utf-8", "surrogateescape"))
    folder = CACHE / "sources" / f"{name}-{digest.hexdigest()[:12]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.glob(f"{name}-????????????"):
        shutil.rmtree(old, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    try:
        for step in steps:
            step.run(work)
        work.chmod(0o755)
        os.replace(work, folder)  # noqa: PTH105 - two workers may make the same folder: the second finds it there
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder
