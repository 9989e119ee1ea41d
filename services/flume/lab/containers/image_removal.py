"""Which images of an engine may be removed: those that flumelab made, unless something of a person's needs them. Pure.

An image that a person builds on ours inherits our label, and one name of an image may be ours and another a person's.
So the label says what an image was made of, and only the name says whose it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

_UNNAMED = "<none>:<none>"


class Removal(msgspec.Struct, frozen=True):
    """What is to be removed, in this order, and what is kept.

    *ids* of images in the order in which an engine agrees to remove them; *names* of those that have one, and *kept*:
    name → reason.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    kept: dict[str, str]


def plan_removal(
    images: Sequence[Mapping[str, Any]],
    containers: Sequence[Mapping[str, Any]],
    *,
    labelled: Sequence[Mapping[str, Any]],
    prefix: str,
) -> Removal:
    """Return the removal of all images with a name that begins with *prefix*, and of what builds left of them.

    *images* are all of the engine, those without a name included, and *labelled* those that builds of ours marked.
    *containers* are all of the engine; it has none of ours any more.
    """
    by_id = {one["Id"]: one for one in images}
    marked = {one["Id"] for one in labelled}
    ours = {identity for identity, one in by_id.items() if _is_ours(one, prefix, marked=identity in marked)}
    needed = dict(_needed(by_id, containers, ours, prefix))
    free = (ours | set(_unfinished(by_id, ours))) - set(needed)
    ids = sorted(free, key=lambda identity: (-_depth(by_id, identity), identity))
    return Removal(
        ids=tuple(ids),
        names=tuple(sorted(_shown(by_id[identity]) for identity in ids if identity in ours)),
        kept={_shown(by_id[identity], prefix): why for identity, why in sorted(needed.items()) if identity in ours},
    )


def _names(image: Mapping[str, Any]) -> list[str]:
    """Return the names of *image*; an engine writes ``<none>`` for none."""
    return [name for name in image["RepoTags"] or () if name != _UNNAMED]


def _shown(image: Mapping[str, Any], prefix: str = "") -> str:
    """Return the name of *image* for a person, one with *prefix* first; without a name its id."""
    names = sorted(_names(image), key=lambda name: (not name.startswith(prefix), name))
    return names[0] if names else str(image["Id"])


def _is_ours(image: Mapping[str, Any], prefix: str, *, marked: bool) -> bool:
    """Return whether we made *image*: it has a name of ours, or it is *marked* and has no name."""
    names = _names(image)
    return any(name.startswith(prefix) for name in names) or (marked and not names)


def _ancestors(by_id: Mapping[str, Mapping[str, Any]], identity: str) -> Iterator[str]:
    """Yield *identity*, the image it was built on, and so on down to the base."""
    while identity in by_id:
        yield identity
        identity = by_id[identity].get("ParentId") or ""


def _depth(by_id: Mapping[str, Mapping[str, Any]], identity: str) -> int:
    return sum(1 for _ in _ancestors(by_id, identity))


def _needed(
    by_id: Mapping[str, Mapping[str, Any]], containers: Sequence[Mapping[str, Any]], ours: set[str], prefix: str
) -> Iterator[tuple[str, str]]:
    """Yield the id of each image that something of a person's needs, and why; the last reason is the one to show."""
    for container in containers:
        name = (container.get("Names") or [container["Id"]])[0].lstrip("/")
        for identity in _ancestors(by_id, container["ImageID"]):
            yield identity, f"the container {name} uses it"
    for image in by_id.values():
        foreign = [name for name in _names(image) if not name.startswith(prefix)]
        if foreign:
            first, *below = _ancestors(by_id, image["Id"])
            if first in ours:
                yield first, f"it is also named {foreign[0]}"
            for identity in below:
                yield identity, f"the image {foreign[0]} is built on it"


def _unfinished(by_id: Mapping[str, Mapping[str, Any]], ours: set[str]) -> Iterator[str]:
    """Yield the ids of images without a name that interrupted builds left on *ours*, and on which none is built."""
    parents = {one.get("ParentId") for one in by_id.values()}
    for identity, image in by_id.items():
        if identity not in parents and not _names(image) and not ours.isdisjoint(_ancestors(by_id, identity)):
            yield identity
