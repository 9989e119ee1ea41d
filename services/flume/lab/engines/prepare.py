"""Everything that must be ready before a lab runs, in one call, and its removal: ``flume lab setup | purge``."""

from flume.errors import EngineError
from flume.lab import checkout
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.engines import choice
from flume.lab.engines.decision import EnginePreference
from flume.lab.kernel import disk, lab_kernel
from flume.lab.machine import dockerd
from flume.lab.progress import Say


def prepare(
    say: Say, *, interactive: bool = False, tests: bool = False, netem: bool = False, engine: EnginePreference = "auto"
) -> Engine:
    """Return an engine that answers and has the images. What is missing for that is installed, started and built.

    *netem*: the engine's kernel must have netem; where the usual engine's kernel has none, the lab kernel is used.
    *engine* overrides that choice. *tests* also installs what only the tests need. *say* takes each message, and
    *interactive* allows progress bars. The caller closes the engine::

        with prepare(print, netem=True) as engine:
            engine.objects()

    Raises :class:`~flume.errors.SetupError` or :class:`~flume.errors.EngineError`.
    """
    dockerd.prepare(say, interactive=interactive, tests=tests)
    usual = Engine.connect()
    try:
        images.ensure_images(usual, say=say, interactive=interactive, wire=tests and images.can_have_wire(usual))
        chosen = choice.choose_for(usual, netem=netem, preference=engine)
        if chosen.kind == "local":
            return usual
        say(f"Engine: {chosen.reason}.")
        found = lab_kernel.prepare(usual, say, interactive=interactive)
    except BaseException:
        usual.close()
        raise
    usual.close()
    return found


def purge(say: Say) -> None:
    """Remove all labs, images and disks, and stop the engines that we started."""
    if lab_kernel.stop(say):
        say("Removed the lab kernel's disk copy.")
    for name in disk.remove_disks(checkout.cache()):
        say(f"Removed {name}.")
    try:
        engine = Engine.connect()
    except EngineError as error:
        say(f"{error}; nothing to remove in it.")
        return
    with engine:
        for what in [*engine.remove_lab(None), *(f"image {name}" for name in images.remove_images(engine))]:
            say(f"Removed {what}.")
    dockerd.stop_engine(say)


def stop(say: Say) -> None:
    """Stop the engines that we started, together with the labs in them."""
    lab_kernel.stop(say)
    dockerd.stop_engine(say)
