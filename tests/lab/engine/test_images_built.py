"""The built images: they contain nothing superfluous, and a second build has nothing to do."""

import io
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab.containers import images
from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.image_removal import Removal
from flume.lab.containers.topology import Topology
from flume.lab.engines import prepare

pytestmark = pytest.mark.docker

ABSENT = """
import importlib.util, shutil
found = [name for name in ("scapy", "docker", "pip", "flume.lab") if importlib.util.find_spec(name)]
found += [name for name in ("pip", "pip3", "gcc", "docker", "curl") if shutil.which(name)]
print(found)
"""


def test_the_second_time_there_is_nothing_to_do(engine: Engine) -> None:
    """Finding that out takes less than 0.3 s of CPU, whatever else the host does, and prints nothing."""
    messages: list[str] = []
    images.ensure_images(engine, say=messages.append)
    messages.clear()
    began_s = time.process_time()
    assert images.ensure_images(engine, say=messages.append) == []
    assert time.process_time() - began_s < 0.3
    assert messages == []


def test_preparing_a_machine_that_is_prepared_changes_nothing(engine: Engine) -> None:
    """It returns an engine that answers, and prints nothing."""
    messages: list[str] = []
    with prepare.prepare(messages.append, tests=True) as prepared:
        assert prepared.info == engine.info
    assert messages == []


@pytest.mark.parametrize("service", ["server", "client"])
def test_nothing_is_in_the_images_that_does_not_belong(
    engine: Engine, layout: Topology, lab: str, service: str
) -> None:
    """There is no scapy (GPL-2.0-only), no access to the engine, no installer, and no part of the lab."""
    network = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"])
    start = Start(
        service=service, role="client", index=1, network=network, entrypoint=("python3", "-c"), command=(ABSENT,)
    )
    container = engine.start_service(lab, "run-1", layout, start)
    assert container.wait(timeout_s=20) == 0
    assert container.logs().strip() == "[]"


@pytest.mark.parametrize(("service", "command"), [("server", "serve"), ("client", "watch"), ("server", "health")])
def test_the_program_runs_in_its_image(engine: Engine, layout: Topology, lab: str, service: str, command: str) -> None:
    """It needs only the packages of the lock."""
    network = engine.networks.ensure(lab, "run-1", description=layout.networks["lab"])
    start = Start(service=service, role="client", index=1, network=network, command=(command, "--help"))
    container = engine.start_service(lab, "run-1", layout, start)
    assert container.wait(timeout_s=20) == 0, container.logs()
    assert f"flume {command}" in container.logs()


def test_the_images_stay_small(engine: Engine) -> None:
    """VLC and its decoders are 290 MB of them, FFmpeg 52 MB of the server. More means that something was added."""
    sizes = {target: engine.images.find(images.tag_of(target)) for target in (*images.TARGETS, images.WIRE)}
    mb = {target: image.size_bytes / 1e6 for target, image in sizes.items() if image is not None}
    assert mb["server"] < 480
    assert mb["server"] - mb["client"] < 60
    assert mb["client"] < 460
    assert mb["probe"] < 170
    assert mb["wire"] < 175


class Shelf:
    """Images of a few bytes on a real engine, with a prefix and a label of their own."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.images, self._folder = engine.images, folder
        self.prefix, self.label = f"flumelab-test-{os.getpid()}/", f"flumelab.test.{os.getpid()}"
        self.own = f"persons-own-{os.getpid()}:1"

    def import_base(self) -> str:
        archive, tag = self._folder / "base.tar", f"{self.prefix}base:1"
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        self.images.import_archive(archive, tag)
        return tag

    def build(self, tag: str, base: str, labels: dict[str, str]) -> str:
        content = f"FROM {base}\nLABEL step=1\nENV NAME={tag}\n".encode()
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            info = tarfile.TarInfo("Dockerfile")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        context.seek(0)
        list(self.images.build(context, tag, target="", arguments={}, labels=labels))
        return tag

    def remove(self) -> Removal:
        return self.images.remove(label=self.label, prefix=self.prefix)


@pytest.fixture
def shelf(engine: Engine, tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(engine, tmp_path)
    yield shelf
    engine.images.remove(label=shelf.label, prefix=shelf.own)
    shelf.remove()


def test_a_persons_image_that_is_built_on_ours_outlives_a_purge_with_what_it_stands_on(shelf: Shelf) -> None:
    """It inherits our label. When it has gone, the next purge takes the rest."""
    base = shelf.import_base()
    server = shelf.build(f"{shelf.prefix}server:1", base, {shelf.label: "x"})
    probe = shelf.build(f"{shelf.prefix}probe:1", base, {shelf.label: "x"})
    shelf.build(shelf.own, server, {})
    plan = shelf.remove()
    why = f"the image {shelf.own} is built on it"
    assert (plan.names, plan.kept) == ((probe,), {base: why, server: why})
    assert [shelf.images.find(tag) is not None for tag in (base, server, shelf.own, probe)] == [True, True, True, False]
    assert shelf.images.remove(label="no-such-label", prefix=shelf.own).names == (shelf.own,)
    rest = shelf.remove()
    assert (rest.names, rest.kept) == (tuple(sorted((base, server))), {})
    assert shelf.images.find(base) is None
