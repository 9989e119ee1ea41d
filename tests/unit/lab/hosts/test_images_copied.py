"""Images for hosts that lack them: one archive for all, each host's failure its own, and nothing waits for ever."""

import itertools
import threading
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flume.errors import EngineError
from flume.lab.containers.image_store import Image
from flume.lab.hosts.images_copied import copy_missing, lacking
from flume.lab.hosts.site import Host, Site

TAGS = ["flumelab/server", "flumelab/probe"]
PARTS = 100


def built(inputs: str, *, identity: str = "", created_s: int = 1) -> Image:
    return Image(identity or f"sha256:{inputs}", {"flumelab.inputs": inputs}, 1 << 20, created_s)


class Images:
    """The images of one engine."""

    def __init__(self, found: dict[str, Image], gives: dict[str, Image] | None = None) -> None:
        self.found = found
        self.gives = found if gives is None else gives
        self.saves: list[list[str]] = []
        self.taken = 0
        self.fails_after: int | None = None
        self.breaks_off_after: int | None = None
        self.pruned = False

    def find(self, tag: str) -> Image | None:
        return self.found.get(tag)

    def save(self, tags: list[str]) -> Iterator[bytes]:
        self.saves.append(list(tags))
        for number in range(PARTS):
            if number == self.breaks_off_after:
                raise EngineError("the source has gone")
            yield b"x"

    def load(self, parts: Iterable[bytes]) -> None:
        for _ in itertools.islice(parts, self.fails_after):
            self.taken += 1
        if self.fails_after is not None:
            raise EngineError("the Docker engine could not take the images: write /x: no space left on device")
        self.found |= self.gives

    def prune(self, *, label: str) -> None:
        self.pruned = True


def site(**stores: Images) -> Site:
    hosts = [
        Host(name, SimpleNamespace(images=store, info=SimpleNamespace(architecture="x86_64"), host=name))  # type: ignore[arg-type]
        for name, store in stores.items()
    ]
    return Site(hosts, server="a")


def copied(of: Site) -> Any:
    return copy_missing(of, TAGS, say=lambda _line: None)


@pytest.fixture
def source() -> Images:
    return Images({tag: built(tag) for tag in TAGS})


def test_one_archive_goes_to_all_that_lack_some(source: Images) -> None:
    empty, half, full = Images({}, source.found), Images({TAGS[0]: built(TAGS[0])}, source.found), Images(source.found)
    half.gives = source.found
    assert copied(site(a=source, b=empty, c=half, d=full)) == {"b": TAGS, "c": [TAGS[1]]}
    assert source.saves == [TAGS]
    assert (empty.taken, half.taken, full.taken) == (PARTS, PARTS, 0)
    assert (empty.pruned, half.pruned, full.pruned) == (True, True, False)


def test_nothing_is_read_where_nothing_is_missing(source: Images) -> None:
    assert copied(site(a=source, b=Images(source.found))) == {}
    assert source.saves == []


def test_another_version_is_missing_and_a_copy_under_another_identity_is_not(source: Images) -> None:
    other_version = Images(source.found | {TAGS[0]: built("older")})
    in_containerd = Images({tag: built(tag, identity=f"sha256:other-{tag}") for tag in TAGS})
    built_there = Images({tag: built(tag, identity=f"sha256:own-{tag}", created_s=2) for tag in TAGS})
    found = lacking(site(a=source, b=other_version, c=in_containerd, d=built_there), TAGS)
    assert found == {"b": [TAGS[0]], "d": TAGS}


def test_a_full_disk_is_that_hosts_and_the_others_have_theirs(source: Images) -> None:
    full, good = Images({}, source.found), Images({}, source.found)
    full.fails_after = 3
    with pytest.raises(EngineError, match=r"^host b: its disk is full: docker system df .*no space left on device\)$"):
        copied(site(a=source, b=full, c=good))
    assert good.taken == PARTS


def test_it_ends_early_where_no_host_takes_more(source: Images) -> None:
    full = Images({}, source.found)
    full.fails_after = 0
    with pytest.raises(EngineError, match="host b: its disk is full"):
        copied(site(a=source, b=full))


def test_a_source_that_breaks_off_ends_all(source: Images) -> None:
    source.breaks_off_after = 5
    before = threading.active_count()
    with pytest.raises(EngineError, match="the source has gone"):
        copied(site(a=source, b=Images({}), c=Images({})))
    assert threading.active_count() == before


def test_images_that_are_others_afterwards_are_refused(source: Images) -> None:
    with pytest.raises(EngineError, match="host b: it has taken the images, and flumelab/server, flumelab/probe is"):
        copied(site(a=source, b=Images({}, {tag: built("other") for tag in TAGS})))


def test_the_servers_host_must_have_them() -> None:
    with pytest.raises(EngineError, match="the server's host a has no image flumelab/server: make setup"):
        copied(site(a=Images({}), b=Images({})))
