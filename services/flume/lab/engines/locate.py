"""Where labs are: which engine holds one, and its removal from all of them."""

import contextlib
from collections.abc import Iterator

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from flume.lab.kernel import boot, lab_kernel
from flume.lab.kernel.instance import Place
from flume.lab.progress import Say


@contextlib.contextmanager
def engine_with(lab: str, *, place: Place = lab_kernel.DEFAULT) -> Iterator[Engine]:
    """Yield the engine that *lab* runs in: the lab kernel's if it is there, else the usual one."""
    engine = _kernel_engine(place)
    if engine is not None:
        with engine:
            if engine.find(lab=lab):
                yield engine
                return
    with Engine.connect() as usual:
        yield usual


def remove_lab(lab: str | None, say: Say, *, place: Place = lab_kernel.DEFAULT) -> list[str]:
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


def remove_elsewhere(lab: str, engine: Engine, say: Say, *, place: Place = lab_kernel.DEFAULT) -> None:
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
        lab_kernel.stop(say, place=place)  # what a kernel left that was killed
        return []
    engine = _kernel_engine(place)
    if engine is None:
        say("The engine in the lab kernel does not answer.")
        return ["the lab kernel"] if lab_kernel.stop(say, place=place) else []
    with engine:
        objects = engine.objects()
        ours = [f"{one.kind} {one.name}" for one in objects if lab in {None, one.lab}]
        if len(ours) < len(objects):
            return engine.remove_lab(lab) if ours else []
    # Nothing else is in it: ending it takes less time than removing its containers one by one.
    return [*ours, "the lab kernel and its disk"] if lab_kernel.stop(say, place=place) else ours


def _kernel_engine(place: Place) -> Engine | None:
    """Return the engine in the lab kernel; ``None`` where none runs or answers."""
    if boot.running(place) is None:
        return None
    try:
        return lab_kernel.connect(place)
    except EngineError:
        return None
