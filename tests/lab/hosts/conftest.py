"""Three Docker engines in one swarm, for the tests of a lab over several machines."""

from collections.abc import Iterator

import pytest

from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from support.labs.nested import Host, join_swarm, nested_engines


@pytest.fixture(scope="session")
def hosts(engine: Engine) -> Iterator[list[Host]]:
    """Three hosts in one swarm, h1 the manager, with the images of server, client, probe and wire.

    A test leaves them as it found them. An engine that cannot have them is a failure, not a skip.
    """
    images.ensure_images(engine, say=print, wire=True)
    with nested_engines(engine, 3, images=[images.tag_of(one) for one in (*images.TARGETS, images.WIRE)]) as hosts:
        join_swarm(hosts)
        yield hosts
