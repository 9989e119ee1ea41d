"""Removing images: also what an interrupted build left, and nothing of other people."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flume.errors import EngineError
from flume.lab.containers.image_removal import Removal
from flume.lab.containers.image_store import ImageStore

LABEL = "flumelab.inputs"


class FakeEngine:
    """Keeps images as an engine does: one on which another is built cannot be removed, unnamed parents go along."""

    def __init__(self, *images: tuple[str, str, str | None, bool], containers: Mapping[str, str] = {}) -> None:
        """Each image: id, parent, its names with spaces between them, whether it has the label. Container → image."""
        self.running = containers
        self.kept: dict[str, dict[str, Any]] = {
            identity: {
                "Id": identity,
                "ParentId": parent,
                "RepoTags": name.split() if name else ["<none>:<none>"],
                "Labels": {LABEL: "x"} if labelled else {},
            }
            for identity, parent, name, labelled in images
        }

    def images(
        self,
        *,
        name: str = "",
        filters: Mapping[str, object] | None = None,
        all: bool = False,  # noqa: A002
    ) -> list[dict[str, Any]]:
        chosen = list(self.kept.values())
        if name:
            chosen = [one for one in chosen if name in one["RepoTags"]]
        if filters:
            parents = {one["ParentId"] for one in chosen}
            chosen = [one for one in chosen if one["Labels"] and (name_of(one) or one["Id"] not in parents)]
        return chosen

    def containers(self, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002
        assert all
        return [{"Id": name, "Names": [f"/{name}"], "ImageID": image} for name, image in self.running.items()]

    def remove_image(self, identity: str, *, force: bool) -> None:
        assert force
        assert identity not in self.running.values()
        if any(one["ParentId"] == identity for one in self.kept.values()):
            raise EngineError(f"conflict: unable to delete {identity}: image has dependent child images")
        parent = self.kept.pop(identity)["ParentId"]
        is_free = parent in self.kept and not any(one["ParentId"] == parent for one in self.kept.values())
        if is_free and self.kept[parent]["RepoTags"] == ["<none>:<none>"]:
            self.remove_image(parent, force=True)


def name_of(image: Mapping[str, Any]) -> str:
    return "" if image["RepoTags"] == ["<none>:<none>"] else str(image["RepoTags"][0])


def remove(engine: FakeEngine) -> Removal:
    return ImageStore(engine, errors).remove(label=LABEL, prefix="flumelab/")


@contextlib.contextmanager
def errors(_what: str) -> Iterator[None]:
    yield


BASE = ("base", "", "flumelab/base:bookworm", False)
SERVER = (("step", "base", None, False), ("server", "step", "flumelab/server:latest", True))
INTERRUPTED = (("half", "step", None, False), ("other-step", "base", None, False), ("more", "other-step", None, False))
STRANGER = (("debian", "", "debian:12", False), ("theirs", "debian", None, False))


def test_what_an_interrupted_build_left_goes_with_its_base_and_nothing_else() -> None:
    engine = FakeEngine(BASE, *SERVER, *INTERRUPTED, *STRANGER)
    plan = remove(engine)
    assert (plan.names, plan.kept) == (("flumelab/base:bookworm", "flumelab/server:latest"), {})
    assert set(engine.kept) == {"debian", "theirs"}


def test_a_superseded_image_of_ours_without_a_name_goes_too() -> None:
    engine = FakeEngine(BASE, ("old", "base", None, True), *STRANGER)
    assert remove(engine).kept == {}
    assert set(engine.kept) == {"debian", "theirs"}


@pytest.mark.parametrize("parent", ["base", "server"])
def test_an_image_of_a_person_that_is_built_on_ours_is_kept_with_what_it_needs(parent: str) -> None:
    """Although it has our label: that is inherited. What it does not need goes."""
    engine = FakeEngine(
        BASE, *SERVER, ("probe", "base", "flumelab/probe:latest", True), ("mine", parent, "my/own:1", True)
    )
    plan = remove(engine)
    why = "the image my/own:1 is built on it"
    names = {"base": "flumelab/base:bookworm", "server": "flumelab/server:latest"}
    assert plan.kept == {names[name]: why for name in (("base",) if parent == "base" else ("base", "server"))}
    assert set(engine.kept) == {"base", "mine"} | ({"step", "server"} if parent == "server" else set())
    assert "flumelab/probe:latest" in plan.names


def test_an_image_of_ours_with_a_name_that_a_person_gave_is_kept() -> None:
    engine = FakeEngine(BASE, ("server", "base", "flumelab/server:latest my/server:1", True))
    assert remove(engine).kept == {
        "flumelab/base:bookworm": "the image my/server:1 is built on it",
        "flumelab/server:latest": "it is also named my/server:1",
    }
    assert set(engine.kept) == {"base", "server"}


def test_an_image_that_a_persons_container_uses_is_kept_and_so_is_what_that_stands_on() -> None:
    engine = FakeEngine(BASE, *SERVER, *INTERRUPTED, containers={"trial": "server", "other": "half"})
    assert remove(engine).kept == {
        "flumelab/base:bookworm": "the container other uses it",
        "flumelab/server:latest": "the container trial uses it",
    }
    assert set(engine.kept) == {"base", "step", "server", "half"}


def test_an_engine_without_images_of_ours_is_left_as_it_is() -> None:
    engine = FakeEngine(*STRANGER, containers={"trial": "debian", "gone": "no-longer-there"})
    assert remove(engine) == Removal((), (), {})
    assert set(engine.kept) == {"debian", "theirs"}
