"""The lab's images: built when they are missing or when what goes into them has changed, otherwise left alone.

Every image carries a digest of its inputs as a label. The second run compares the labels and builds nothing. The Python
packages are fetched on this machine, checked by hash and copied in. So the images need no pip, and a container needs
neither the proxy nor the certificates of this machine's pip.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from flume.errors import EngineError, SetupError
from flume.lab import progress
from flume.lab.checkout import project_root
from flume.lab.containers.engine import Engine
from flume.lab.containers.image_removal import Removal
from flume.lab.containers.topology import LABEL_INPUTS
from flume.lab.machine.debian_base import bootstrap_base
from flume.lab.progress import Say

PREFIX = "flumelab/"
"""What the name of each of our images begins with."""

BASE_TAG = f"{PREFIX}base:bookworm"
TARGETS = ("server", "client", "probe")
NOT_IN_IMAGES = frozenset({"lab", "inspect", "capture", "measures"})
"""Folders of the package that no program in an image imports: a change there builds no image anew."""

WIRE = "wire"
"""The target that is built only where links need it."""

PLAYERS = "players"
"""The target that is built only where a run asks for other people's players."""

ALL = (*TARGETS, WIRE, PLAYERS)

WIRE_ARCHITECTURE = "x86_64"
"""Of the engines that can have it: Debian builds User Mode Linux for no other."""

PROGRAM_LAUNCHERS = ("flume", "slim-av")
PROBE_LAUNCHERS = ("link-probe", "clock-probe", "firewall", "overlay", "path-probe")
WIRE_LAUNCHERS = ("start-wire",)
PLAYERS_LAUNCHERS = ("player",)
"""Beside the Dockerfile: the commands in the images, each of which starts a module."""

PULL_TIMEOUT_S = 10.0
"""How long a registry may be silent before the base image is built here instead."""

_PLATFORMS = {"x86_64": ("amd64", "manylinux_2_28_x86_64"), "aarch64": ("arm64", "manylinux_2_28_aarch64")}
"""Architecture of the engine → its name in Debian, and that of the wheels (Debian 12 has glibc 2.36)."""

_PYTHON_IN_IMAGE = "3.11"
"""The Python of Debian 12."""


class Inputs(msgspec.Struct, frozen=True):
    """The folders with everything that goes into the images."""

    root: Path

    @property
    def folder(self) -> Path:
        """The folder of the Dockerfile and of the commands in the images."""
        return self.root / "compose" / "images"

    @property
    def lock(self) -> Path:
        """The list of the images' Python packages, with versions and hashes."""
        return self.root / "requirements" / "images.lock"

    @property
    def source(self) -> Path:
        """The import package."""
        return self.root / "services" / "flume"

    @property
    def probe(self) -> Path:
        """The programs of the probe image."""
        return self.root / "services" / "probe"

    @property
    def wire(self) -> Path:
        """The programs of the wire image."""
        return self.root / "services" / "wire"

    @property
    def players(self) -> Path:
        """The programs of the image of other people's players."""
        return self.root / "services" / "players"

    @property
    def cache(self) -> Path:
        """The folder of files that can be fetched or made again."""
        return self.root / ".cache"


def tag_of(target: str) -> str:
    """Return the image's name, as ``compose/lab.yaml`` writes it."""
    return f"{PREFIX}{target}"


def ensure_images(
    engine: Engine,
    *,
    say: Say,
    interactive: bool = False,
    root: Path | None = None,
    wire: bool = False,
    players: bool = False,
) -> list[str]:
    """Build the images that are missing or out of date; return their names.

    Those of the wire and of other people's players are built only if *wire* and *players*. Raises :class:`SetupError`
    or :class:`EngineError`.
    """
    if wire and engine.info.architecture != WIRE_ARCHITECTURE:
        raise SetupError(f"no image of the wire for {engine.info.architecture} engines: its kernel is for x86-64")
    inputs = Inputs(root or project_root())
    targets = (*TARGETS, *([WIRE] if wire else ()), *([PLAYERS] if players else ()))
    wanted = {target: digest(inputs, target) for target in targets}
    stale = [target for target in wanted if _label(engine, tag_of(target)) != wanted[target]]
    if not stale:
        return []
    base = ensure_base(engine, inputs, say=say, interactive=interactive)
    site = ensure_site(inputs, engine.info.architecture, say=say, interactive=interactive)
    for target in stale:
        say(f"Building the image {tag_of(target)}: {_why(engine, target)}.")
        with pack_context(inputs, site) as context:
            _build(engine, context, target, base, wanted[target], interactive=interactive)
    engine.images.prune(label=LABEL_INPUTS)
    return [tag_of(target) for target in stale]


def remove_images(engine: Engine) -> Removal:
    """Remove every image that flumelab made, the base included, unless something of a person's needs it."""
    return engine.images.remove(label=LABEL_INPUTS, prefix=PREFIX)


def may_have_built(root: Path) -> bool:
    """Return whether images were built from the checkout at *root* that :func:`remove_images` has not removed since."""
    return any(Inputs(root).cache.glob("site-*"))


def forget_builds(root: Path) -> None:
    """Remove what shows :func:`may_have_built`: the images' Python packages, which can be fetched again."""
    for folder in Inputs(root).cache.glob("site-*"):
        shutil.rmtree(folder)


def _label(engine: Engine, tag: str) -> str | None:
    """Return the digest that image *tag* was built from."""
    image = engine.images.find(tag)
    return image.labels.get(LABEL_INPUTS) if image else None


def _why(engine: Engine, target: str) -> str:
    """Return in words why *target* is built."""
    return "there is none yet" if engine.images.find(tag_of(target)) is None else "what goes into it has changed"


def _build(
    engine: Engine, context: IO[bytes], target: str, base: str, inputs_digest: str, *, interactive: bool
) -> None:
    """Build one target and show its steps."""
    step = re.compile(r"Step (\d+)/(\d+) : (.*)")
    lines = engine.images.build(
        context, tag_of(target), target=target, arguments={"BASE": base}, labels={LABEL_INPUTS: inputs_digest}
    )
    with progress.task(f"image {target}", interactive=interactive) as bar:
        for line in lines:
            if match := step.match(line):
                bar.update(completed=int(match[1]) - 1, total=int(match[2]), text=f"image {target}: {match[3][:50]}")


def digest(inputs: Inputs, target: str) -> str:
    """Return a digest of everything that goes into *target*: names and contents of files."""
    total = hashlib.sha256()
    files = [inputs.folder / "Dockerfile"]
    if target == "probe":
        files += [*(inputs.folder / name for name in PROBE_LAUNCHERS), *files_of(inputs.probe)]
    elif target == WIRE:
        files += [*(inputs.folder / name for name in WIRE_LAUNCHERS), *files_of(inputs.wire)]
    elif target == PLAYERS:
        files += [*(inputs.folder / name for name in PLAYERS_LAUNCHERS), *files_of(inputs.players)]
    else:
        files += [*(inputs.folder / name for name in PROGRAM_LAUNCHERS), inputs.lock]
        files += source_files(inputs)
    for path in files:
        content = path.read_bytes()
        total.update(f"{path.relative_to(inputs.root)}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* in a fixed order, without Python's byte code."""
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.relative_to(folder).parts and path.is_file():
            yield path


def source_files(inputs: Inputs) -> Iterator[Path]:
    """Yield the files of the program in a fixed order, without :data:`NOT_IN_IMAGES`."""
    for path in files_of(inputs.source):
        if path.relative_to(inputs.source).parts[0] not in NOT_IN_IMAGES:
            yield path


def pack_context(inputs: Inputs, site: Path) -> IO[bytes]:
    """Return the build context as a temporary tar file; closing it removes it."""
    file = tempfile.TemporaryFile(prefix="flumelab-context-")  # noqa: SIM115 - the caller closes it
    try:
        with tarfile.open(fileobj=file, mode="w") as archive:
            launchers = (*PROGRAM_LAUNCHERS, *PROBE_LAUNCHERS, *WIRE_LAUNCHERS, *PLAYERS_LAUNCHERS)
            for name in ("Dockerfile", *launchers):
                _add(archive, inputs.folder / name, name, executable=name != "Dockerfile")
            for folder in (inputs.probe, inputs.wire, inputs.players):
                for path in files_of(folder):
                    _add(archive, path, f"{folder.name}/{path.relative_to(folder)}")
            for path in sorted(site.rglob("*")):
                if path.is_file():
                    _add(archive, path, f"{_site_folder(path.relative_to(site))}/{path.relative_to(site)}")
            for path in source_files(inputs):
                _add(archive, path, f"source/flume/{path.relative_to(inputs.source)}")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _site_folder(path: Path) -> str:
    """Return the folder of the context for a package's file: PyAV goes into the server's image only."""
    return "site-server" if re.match(r"av(\.libs|-.*)?$", path.parts[0]) else "site"


def _add(archive: tarfile.TarFile, path: Path, name: str, *, executable: bool = False) -> None:
    """Add one file with neither time nor owner in its header: both would defeat the build cache."""
    content = path.read_bytes()
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o755 if executable else 0o644
    archive.addfile(info, io.BytesIO(content))


def base_reference(dockerfile: str) -> str:
    """Return the pinned base image that *dockerfile* names in ``ARG BASE=``."""
    match = re.search(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    if match is None:
        raise SetupError("compose/images/Dockerfile has no line ARG BASE=…: restore it")
    return match[1]


def ensure_base(engine: Engine, inputs: Inputs, *, say: Say, interactive: bool) -> str:
    """Return the tag of a Debian base image, pulled or, where no registry answers, built on this machine."""
    if engine.images.find(BASE_TAG) is not None:
        return BASE_TAG
    reference = base_reference((inputs.folder / "Dockerfile").read_text())
    say(f"Pulling the base image {reference.partition('@')[0]}.")
    try:
        with progress.task("base image", interactive=interactive):
            engine.images.pull(reference, timeout_s=PULL_TIMEOUT_S)
        engine.images.tag(reference, BASE_TAG)
    except EngineError as error:
        say(f"  {error}")
        _import_base(engine, inputs, say=say, interactive=interactive)
    return BASE_TAG


def _import_base(engine: Engine, inputs: Inputs, *, say: Say, interactive: bool) -> None:
    """Bootstrap Debian into a tar archive and make it an image."""
    architecture, _ = platform_of(engine.info.architecture)
    inputs.cache.mkdir(exist_ok=True)
    target = inputs.cache / f"base-{architecture}.tar"
    if not target.exists():
        # It has another name until it is complete: an interrupted run leaves no file that looks finished.
        unfinished = target.with_name(f"unfinished-{os.getpid()}-{target.name}")
        try:
            bootstrap_base(unfinished, say, interactive=interactive, architecture=architecture)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)
    with progress.task("import the base image", interactive=interactive):
        engine.images.import_archive(target, BASE_TAG)


def platform_of(architecture: str) -> tuple[str, str]:
    """Return Debian's and the wheels' names for the engine's *architecture*."""
    if architecture not in _PLATFORMS:
        raise SetupError(f"no images for {architecture} engines: flumelab knows {', '.join(_PLATFORMS)}")
    return _PLATFORMS[architecture]


def ensure_site(inputs: Inputs, architecture: str, *, say: Say, interactive: bool) -> Path:
    """Return a folder with the packages of ``requirements/images.lock``: for the images' Python, checked by hash."""
    _, wheels = platform_of(architecture)
    name = hashlib.sha256(inputs.lock.read_bytes() + wheels.encode()).hexdigest()[:16]
    target = inputs.cache / f"site-{name}"
    if target.is_dir():
        return target
    say("Fetching the images' Python packages (requirements/images.lock).")
    inputs.cache.mkdir(exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-site-", dir=inputs.cache))
    try:
        with progress.task("Python packages", interactive=interactive):
            _pip(inputs.lock, unfinished, wheels)
        for script in unfinished.glob("bin"):
            shutil.rmtree(script)  # entry points with this machine's interpreter in their first line
        _move_into_place(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _move_into_place(unfinished: Path, target: Path) -> None:
    """Give a complete folder its final name, unless another run has made the same folder meanwhile."""
    try:
        unfinished.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _pip(lock: Path, target: Path, platform: str) -> None:
    """Install the wheels of *lock* for the images' Python into *target*."""
    command = [
        *(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--disable-pip-version-check",
        ),
        *("--require-hashes", "--only-binary", ":all:", "--platform", platform),
        *("--platform", platform.replace("_2_28_", "2014_"), "--python-version", _PYTHON_IN_IMAGE),
        *("--implementation", "cp", "--target", str(target), "--requirement", str(lock)),
    ]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        last = next((line for line in reversed(result.stderr.splitlines()) if line.strip()), "no message")
        raise SetupError(
            f"fetching the packages of {lock.name} failed: {last.strip()}; is the package index reachable?"
        )
