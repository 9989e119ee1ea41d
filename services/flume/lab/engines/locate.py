"""Finds labs in all engines of this machine: the usual engine and the lab kernel's; removes labs from them."""

import contextlib
from collections.abc import Iterator

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from flume.lab.kernel import boot, lab_kernel
from flume.lab.kernel.instance import KernelInstance
from flume.lab.progress import Say


@contextlib.contextmanager
def engine_with(lab: str, *, instance: KernelInstance = lab_kernel.DEFAULT) -> Iterator[Engine]:
    """Yield the engine that *lab* runs in: the lab kernel's if the lab is there, else the usual engine.

    Example::

        with engine_with("default") as engine:
            clients = engine.find(lab="default", role="client")
    """
    engine = _kernel_engine(instance)
    if engine is not None:
        with engine:
            if engine.find(lab=lab):
                yield engine
                return
    with Engine.connect() as usual:
        yield usual


def remove_lab(lab: str | None, say: Say, *, instance: KernelInstance = lab_kernel.DEFAULT) -> list[str]:
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
    removed += _remove_from_kernel(lab, say, instance)
    if failure is not None and not removed:
        raise failure
    return removed


def remove_elsewhere(lab: str, engine: Engine, say: Say, *, instance: KernelInstance = lab_kernel.DEFAULT) -> None:
    """Remove *lab* from the engines of this machine other than *engine*, because a name means one lab on a machine.

    A lab kernel without *lab* is not touched: it may have just been started for a lab that is not in it yet.
    """
    if engine.info.endpoint != instance.endpoint:
        kernels = _kernel_engine(instance)
        if kernels is None:
            return
        with kernels:
            is_there = bool(kernels.objects(lab=lab))
        if is_there:
            _remove_from_kernel(lab, say, instance)
    else:
        with Engine.connect() as usual:
            usual.remove_lab(lab)


def _remove_from_kernel(lab: str | None, say: Say, instance: KernelInstance) -> list[str]:
    if boot.running(instance) is None:
        lab_kernel.stop(say, instance=instance)  # removes what a killed kernel left
        return []
    engine = _kernel_engine(instance)
    if engine is None:
        say("The engine in the lab kernel does not answer.")
        return ["the lab kernel"] if lab_kernel.stop(say, instance=instance) else []
    with engine:
        objects = engine.objects()
        ours = [f"{one.kind} {one.name}" for one in objects if lab in {None, one.lab}]
        if len(ours) < len(objects):
            return engine.remove_lab(lab) if ours else []
    # No other lab is in it: ending the kernel takes less time than removing its containers one by one.
    return [*ours, "the lab kernel and its disk"] if lab_kernel.stop(say, instance=instance) else ours


def _kernel_engine(instance: KernelInstance) -> Engine | None:
    """Return the engine in the lab kernel; ``None`` where none runs or answers."""
    if boot.running(instance) is None:
        return None
    try:
        return lab_kernel.connect(instance)
    except EngineError:
        return None
