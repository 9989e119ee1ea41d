"""Removing images: also what an interrupted build left, and nothing of other people."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flume.errors import EngineError
from flume.lab.containers.image_store import ImageStore

LABEL = "flumelab.inputs"


class FakeEngine:
    """Keeps images as an engine does: one on which another is built cannot be removed, unnamed parents go along."""

    def __init__(self, *images: tuple[str, str, str | None, bool]) -> None:
        """Each image: id, parent, name, whether it has the label."""
        self.kept: dict[str, dict[str, Any]] = {
            identity: {
                "Id": identity,
                "ParentId": parent,
                "RepoTags": [name] if name else ["<none>:<none>"],
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
            chosen = [one for one in chosen if one["Labels"]]
        return chosen

    def remove_image(self, identity: str, *, force: bool) -> None:
        assert force
        if any(one["ParentId"] == identity for one in self.kept.values()):
            raise EngineError(f"conflict: unable to delete {identity}: image has dependent child images")
        parent = self.kept.pop(identity)["ParentId"]
        is_free = parent in self.kept and not any(one["ParentId"] == parent for one in self.kept.values())
        if is_free and self.kept[parent]["RepoTags"] == ["<none>:<none>"]:
            self.remove_image(parent, force=True)


@contextlib.contextmanager
def errors(_what: str) -> Iterator[None]:
    yield


BASE = ("base", "", "flumelab/base:bookworm", False)
SERVER = (("step", "base", None, False), ("server", "step", "flumelab/server:latest", True))
INTERRUPTED = (("half", "step", None, False), ("other-step", "base", None, False), ("more", "other-step", None, False))
STRANGER = (("debian", "", "debian:12", False), ("theirs", "debian", None, False))


def test_what_an_interrupted_build_left_goes_with_its_base_and_nothing_else() -> None:
    engine = FakeEngine(BASE, *SERVER, *INTERRUPTED, *STRANGER)
    removed = ImageStore(engine, errors).remove(label=LABEL, tags=["flumelab/base:bookworm"])
    assert removed == ["flumelab/base:bookworm", "flumelab/server:latest"]
    assert set(engine.kept) == {"debian", "theirs"}


def test_an_image_with_a_name_built_on_ours_is_kept_and_reported() -> None:
    engine = FakeEngine(BASE, ("mine", "base", "my/image:latest", False))
    with pytest.raises(EngineError, match="dependent child images"):
        ImageStore(engine, errors).remove(label=LABEL, tags=["flumelab/base:bookworm"])
    assert set(engine.kept) == {"base", "mine"}
