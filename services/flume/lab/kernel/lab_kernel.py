"""The lab kernel as the rest of the lab sees it: have it ready, find labs in it, stop it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from flume.errors import EngineError
from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.kernel import boot, disk
from flume.lab.kernel.place import Place, Running
from flume.lab.machine import dockerd, packages
from flume.lab.progress import Say

DEFAULT = Place(0)


def prepare(builder: Engine, say: Say, *, interactive: bool = False, place: Place = DEFAULT) -> Engine:
    """Return the engine in the lab kernel, with the images of *builder*; the caller closes both.

    Starts the kernel where it does not run, or runs with other images while no lab is in it. Where one is, the new
    images are copied into the running kernel, which takes a minute.
    """
    packages.install(dockerd.ENGINE_PACKAGES, "the lab kernel runs a Docker engine of its own", say, interactive)
    packages.install(boot.PACKAGES, "the lab kernel gives links netem", say, interactive)
    with boot.locked(place):
        target = disk.ensure_disk(builder, checkout.cache(), say, interactive=interactive)
        found = boot.running(place)
        if found is not None and not _fits(place, found, target):
            engine = _occupied(place)
            if engine is not None:
                say("Copying the new images into the running lab kernel: a lab is in it.")
                builder.images.copy_to(engine.images, disk.tags(), progress=lambda _bytes: None)
                return engine
            found = None
        if found is None:
            boot.start(place, target, say, interactive=interactive)
    return connect(place)


def _fits(place: Place, found: Running, target: Path) -> bool:
    return found.disk == str(target) and boot.answers(place)


def _occupied(place: Place) -> Engine | None:
    """Return the engine in the kernel when there is a lab in it; ``None`` also when it does not answer."""
    if not boot.answers(place):
        return None
    engine = connect(place)
    if engine.objects():
        return engine
    engine.close()
    return None


def connect(place: Place = DEFAULT) -> Engine:
    """Return the engine in the lab kernel. Raises :class:`EngineError`."""
    return Engine.connect(environment={"DOCKER_HOST": place.endpoint}, timeout_s=30.0)


def stop(say: Say, *, place: Place = DEFAULT) -> bool:
    """End the lab kernel with everything in it and remove its disk copy; return whether there was one."""
    if os.geteuid() != 0 or not (place.folder.exists() or place.record.exists()):
        return False
    with boot.locked(place):
        if boot.running(place) is not None:
            say("Stopping the lab kernel.")
        return boot.clean_up(place)


@contextlib.contextmanager
def engine_with(lab: str, *, place: Place = DEFAULT) -> Iterator[Engine]:
    """Yield the engine that *lab* runs in: the lab kernel's if it is there, else the usual one."""
    engine = _kernel_engine(place)
    if engine is not None:
        with engine:
            if engine.find(lab=lab):
                yield engine
                return
    with Engine.connect() as usual:
        yield usual


def remove_lab(lab: str | None, say: Say, *, place: Place = DEFAULT) -> list[str]:
    """Remove *lab* (``None``: every lab) from every engine; stop the lab kernel when no lab is left in it.

    Returns what was removed, as ``kind name``.
    """
    removed = []
    failure: EngineError | None = None
    try:
        with Engine.connect() as usual:
            removed += usual.remove_lab(lab)
    except EngineError as error:
        failure = error
    removed += _remove_from_kernel(lab, say, place)
    if failure is not None and not removed:
        raise failure
    return removed


def remove_elsewhere(lab: str, engine: Engine, say: Say, *, place: Place = DEFAULT) -> None:
    """Remove *lab* from the engines of this machine other than *engine*: a name stands for one lab.

    A lab kernel without it is left alone: it may have been started a moment ago for a lab that is not in it yet.
    """
    if engine.info.endpoint != place.endpoint:
        kernels = _kernel_engine(place)
        if kernels is None:
            return
        with kernels:
            is_there = bool(kernels.objects(lab=lab))
        if is_there:
            _remove_from_kernel(lab, say, place)
    else:
        with Engine.connect() as usual:
            usual.remove_lab(lab)


def _remove_from_kernel(lab: str | None, say: Say, place: Place) -> list[str]:
    if boot.running(place) is None:
        stop(say, place=place)  # what a kernel left that was killed
        return []
    engine = _kernel_engine(place)
    if engine is None:
        say("The engine in the lab kernel does not answer.")
        return ["the lab kernel"] if stop(say, place=place) else []
    with engine:
        objects = engine.objects()
        ours = [f"{one.kind} {one.name}" for one in objects if lab in {None, one.lab}]
        if len(ours) < len(objects):
            return engine.remove_lab(lab) if ours else []
    # Nothing else is in it: ending it takes less time than removing its containers one by one.
    return [*ours, "the lab kernel and its disk"] if stop(say, place=place) else ours


def _kernel_engine(place: Place) -> Engine | None:
    """Return the engine in the lab kernel; ``None`` where none runs or answers."""
    if boot.running(place) is None:
        return None
    try:
        return connect(place)
    except EngineError:
        return None
