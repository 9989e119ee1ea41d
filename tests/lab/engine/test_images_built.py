"""The built images: they contain nothing superfluous, and a second build has nothing to do."""

import time

import pytest

from flume.lab.containers import images
from flume.lab.containers.engine import Engine, Start
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
    """Finding that out takes less than 0.3 s and prints nothing."""
    messages: list[str] = []
    images.ensure_images(engine, say=messages.append)
    messages.clear()
    began = time.monotonic()
    assert images.ensure_images(engine, say=messages.append) == []
    assert time.monotonic() - began < 0.3
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
    network = engine.ensure_network(lab, "run-1", description=layout.networks["lab"])
    start = Start(
        service=service, role="client", index=1, network=network, entrypoint=("python3", "-c"), command=(ABSENT,)
    )
    container = engine.start_service(lab, "run-1", layout, start)
    assert container.wait(timeout_s=20) == 0
    assert container.logs().strip() == "[]"


@pytest.mark.parametrize(("service", "command"), [("server", "serve"), ("client", "watch"), ("server", "health")])
def test_the_program_runs_in_its_image(engine: Engine, layout: Topology, lab: str, service: str, command: str) -> None:
    """It needs only the packages of the lock."""
    network = engine.ensure_network(lab, "run-1", description=layout.networks["lab"])
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
