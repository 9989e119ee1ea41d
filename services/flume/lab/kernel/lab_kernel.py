"""The lab kernel as the rest of the lab uses it: prepare it, connect to its engine, stop it."""

import os
from pathlib import Path

from flume.lab import checkout
from flume.lab.containers.engine import Engine
from flume.lab.kernel import boot, disk
from flume.lab.kernel.instance import KernelInstance, Running
from flume.lab.machine import dockerd, packages
from flume.lab.progress import Say

DEFAULT = KernelInstance(0)


def prepare(builder: Engine, say: Say, *, interactive: bool = False, instance: KernelInstance = DEFAULT) -> Engine:
    """Return the engine in the lab kernel, with the images of *builder*; the caller closes both.

    Starts the kernel where it does not run, and again where it runs with other images and no lab is in it. If a lab is
    in it, the new images are copied into the running kernel, which takes a minute.
    """
    packages.install(dockerd.ENGINE_PACKAGES, "the lab kernel runs a Docker engine of its own", say, interactive)
    packages.install(boot.PACKAGES, "the lab kernel gives links netem", say, interactive)
    with boot.locked(instance):
        target = disk.ensure_disk(builder, checkout.cache(), say, interactive=interactive)
        found = boot.running(instance)
        if found is not None and not _fits(instance, found, target):
            engine = _occupied(instance)
            if engine is not None:
                say("Copying the new images into the running lab kernel: a lab is in it.")
                builder.images.copy_to(engine.images, disk.tags(), progress=lambda _bytes: None)
                return engine
            found = None
        if found is None:
            boot.start(instance, target, say, interactive=interactive)
    return connect(instance)


def _fits(instance: KernelInstance, found: Running, target: Path) -> bool:
    return found.disk == str(target) and boot.answers(instance)


def _occupied(instance: KernelInstance) -> Engine | None:
    """Return the engine in the kernel if a lab is in it; ``None`` if not, or if the engine does not answer."""
    if not boot.answers(instance):
        return None
    engine = connect(instance)
    if engine.objects():
        return engine
    engine.close()
    return None


def connect(instance: KernelInstance = DEFAULT) -> Engine:
    """Return the engine in the lab kernel. Raises :class:`EngineError`."""
    return Engine.connect(environment={"DOCKER_HOST": instance.endpoint}, timeout_s=30.0)


def stop(say: Say, *, instance: KernelInstance = DEFAULT) -> bool:
    """End the lab kernel with all labs in it and remove its disk copy; return whether there was one."""
    if os.geteuid() != 0 or not (instance.folder.exists() or instance.record.exists()):
        return False
    with boot.locked(instance):
        if boot.running(instance) is not None:
            say("Stopping the lab kernel.")
        return boot.clean_up(instance)
