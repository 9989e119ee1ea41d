"""The comparison of the machine before and after sees what a lab really consists of."""

from collections.abc import Callable

import pytest

from flume.lab.containers.engine import Engine
from flume.lab.containers.topology import Topology
from support.labs.containers import start_lab
from support.privileges import is_root
from support.residue.docker_objects import LabWatch

pytestmark = pytest.mark.docker

KINDS = {"container", "network", "volume", "process", "interface", "route", "qdisc", "rule", "mount", "cgroup", "file"}
"""All but sockets, which a lab has in namespaces of its own, and while it captures. Rules and files are root's."""


def test_each_kind_of_thing_of_a_lab_is_named_and_after_its_removal_none(
    engine: Engine, layout: Topology, lab: str, new_lab: Callable[[], str], watch: Callable[[str], LabWatch]
) -> None:
    watched = watch(lab)
    start_lab(engine, layout, lab)
    start_lab(engine, layout, new_lab())
    kinds = KINDS if is_root() else KINDS - {"rule", "file"}
    assert {line.partition(" ")[0] for line in watched.left()} >= kinds, watched.left()
    with pytest.raises(AssertionError, match=rf"(?s)^left of lab {lab}: now.*container flumelab-{lab}-client-1 "):
        watched.assert_nothing_left("now", timeout_s=0)
    engine.remove_lab(lab)
    watched.assert_nothing_left()
