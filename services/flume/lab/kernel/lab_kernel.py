"""The lab kernel as the rest of the lab sees it: have it ready, find labs in it, stop it."""

import os
from pathlib import Path

from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.kernel import boot, disk
from flume.lab.kernel.instance import Place, Running
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
