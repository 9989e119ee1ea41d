"""The lab's images on all its hosts: what a host lacks is copied from the server's host, and no registry is asked.

One archive is read from the engine that has the images, and goes to all that lack some side by side.
"""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from flume.errors import EngineError
from flume.lab import progress
from flume.lab.containers import images
from flume.lab.containers.image_store import Image
from flume.lab.containers.topology import LABEL_INPUTS
from flume.lab.hosts.site import Host, Site
from flume.lab.progress import Say

_QUEUED = 16
"""Parts of 1 MiB that wait for the slowest host, at most."""
_FULL = ("no space left", "disk quota")


class Everywhere(NamedTuple):
    """The images that all hosts have now."""

    tags: list[str]
    copied: dict[str, list[str]]
    """Name of a host → what it lacked and was given."""


def ensure_everywhere(
    site: Site, *, say: Say, interactive: bool = False, wire: bool = False, players: bool = False
) -> Everywhere:
    """Build on the server's host the images that are missing or out of date, and copy what other hosts lack.

    Those of the wire and of other people's players are among them only if *wire* and *players*. Raises
    :class:`~flume.errors.SetupError` or :class:`EngineError`.
    """
    images.ensure_images(site.server.engine, say=say, interactive=interactive, wire=wire, players=players)
    more = (*([images.WIRE] if wire else ()), *([images.PLAYERS] if players else ()))
    tags = [images.tag_of(target) for target in (*images.TARGETS, *more)]
    return Everywhere(tags, copy_missing(site, tags, say=say, interactive=interactive))


def lacking(site: Site, tags: Sequence[str]) -> dict[str, list[str]]:
    """Return name of a host → which of *tags* it lacks, or has in another version than the server's host.

    Raises :class:`EngineError` where the server's host itself lacks one.
    """
    wanted = {tag: _wanted(site, tag) for tag in tags}
    others = [host for host in site.hosts if host.name != site.server.name]

    def lacks(host: Host) -> list[str]:
        return [tag for tag, image in wanted.items() if not _has(host, tag, image)]

    return {host.name: found for host, found in zip(others, site.each(lacks, others), strict=True) if found}


def _wanted(site: Site, tag: str) -> Image:
    found = site.server.engine.images.find(tag)
    if found is None:
        raise EngineError(f"the server's host {site.server.name} has no image {tag}: make setup builds it there")
    return found


def _has(host: Host, tag: str, wanted: Image) -> bool:
    found = host.engine.images.find(tag)
    return found is not None and found.is_copy_of(wanted)


def copy_missing(site: Site, tags: Sequence[str], *, say: Say, interactive: bool = False) -> dict[str, list[str]]:
    """Copy those of *tags* that hosts lack from the server's host; return name of a host → what it was given.

    Raises :class:`EngineError` that names each host which could not take them; the others have them then.
    """
    missing = lacking(site, tags)
    if not missing:
        return {}
    needed = [tag for tag in tags if any(tag in found for found in missing.values())]
    _refuse_other_processors(site, list(missing))
    say(f"Copying to {', '.join(missing)} from {site.server.name}: {', '.join(needed)}.")
    problems = _pour(site, needed, list(missing), interactive=interactive)
    for host in missing:
        if host not in problems and (left := [tag for tag in needed if not _has_now(site, host, tag)]):
            problems[host] = f"it has taken the images, and {', '.join(left)} is another one there still"
    if problems:
        raise EngineError("; ".join(f"host {name}: {problem}" for name, problem in problems.items()))
    for host in missing:
        # What was replaced would fill the disk with each change of the program.
        with contextlib.suppress(EngineError):
            site.engine(host).images.prune(label=LABEL_INPUTS)
    return missing


def _has_now(site: Site, host: str, tag: str) -> bool:
    return _has(Host(host, site.engine(host)), tag, _wanted(site, tag))


def _refuse_other_processors(site: Site, names: Sequence[str]) -> None:
    ours = site.server.engine.info.architecture
    for name in names:
        theirs = site.engine(name).info.architecture
        if theirs != ours:
            raise EngineError(
                f"host {name} is {theirs}, and the images of the server's host {site.server.name} are for {ours}: a "
                "lab needs hosts of one kind"
            )


def _pour(site: Site, tags: Sequence[str], names: Sequence[str], *, interactive: bool) -> dict[str, str]:
    """Send the archive of *tags* to all hosts *names*; return name of a host → what went wrong there."""
    source = site.server.engine
    # More than will be sent: images share layers.
    total = sum(_wanted(site, tag).size_bytes for tag in tags)
    feeds = {name: _Feed() for name in names}
    with ThreadPoolExecutor(len(names), thread_name_prefix="images") as pool:
        loads = {name: pool.submit(_load, site, name, feed) for name, feed in feeds.items()}
        try:
            with progress.task(f"images to {', '.join(names)}", total=total, interactive=interactive) as bar:
                sent = 0
                for part in source.images.save(tags):
                    for feed in feeds.values():
                        feed.put(part)
                    sent += len(part)
                    bar.update(completed=sent)
                    if all(load.done() for load in loads.values()):
                        break
                bar.update(completed=total, text="the engines unpack the images")
                for feed in feeds.values():
                    feed.put(None)
                return {name: problem for name, load in loads.items() if (problem := _problem(load))}
        except BaseException:
            for feed in feeds.values():
                feed.give_up()
            raise


def _load(site: Site, name: str, feed: "_Feed") -> None:
    try:
        site.engine(name).images.load(feed)
    finally:
        feed.close()


def _problem(load: "Future[Any]") -> str:
    try:
        load.result()
    except EngineError as error:
        text = str(error)
        if any(words in text.lower() for words in _FULL):
            return f"its disk is full: docker system df and docker system prune show and free space there ({text})"
        # It has closed the connection before it had read all; a host that is away cannot be reached either.
        if "cannot be reached" in text and "No route to host" not in text:
            return f"it has stopped to take the images: is its disk full (docker system df)? ({text})"
        return text
    return ""


class _GivenUpError(EngineError):
    """The archive broke off."""


class _Feed:
    """The parts of the archive for one host, which its thread takes."""

    def __init__(self) -> None:
        self._parts: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._is_closed, self._is_given_up = threading.Event(), threading.Event()

    def put(self, part: bytes | None) -> None:
        """Pass on one part, and None after the last; wait while the host is slow. Nothing happens once it is closed."""
        while not self._is_closed.is_set():
            with contextlib.suppress(queue.Full):
                self._parts.put(part, timeout=0.2)
                return

    def close(self) -> None:
        """Take no more."""
        self._is_closed.set()

    def give_up(self) -> None:
        """Let the taker fail: there will be no end."""
        self._is_given_up.set()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts. Raises :class:`EngineError` after :meth:`give_up`."""
        while True:
            try:
                part = self._parts.get(timeout=0.2)
            except queue.Empty:
                if self._is_given_up.is_set():
                    raise _GivenUpError("the archive of the images broke off") from None
                continue
            if part is None:
                return
            yield part
