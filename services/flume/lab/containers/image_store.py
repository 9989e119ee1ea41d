"""The engine's images: inspect, pull, import, build, tag.

Available as ``engine.images``. The SDK's client and the translation of its errors are arguments.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from flume.errors import EngineError
from flume.lab.containers import archive
from flume.lab.containers.container import Errors
from flume.lab.containers.image_removal import Removal, plan_removal
from flume.lab.containers.topology import LABEL_INPUTS
from flume.lab.machine.process import one_line

_BUILD_TIMEOUT_S = 900.0
"""Longest time without output from a build: unpacking 280 MB of packages on a slow disk prints nothing."""

_PART_BYTES = 1 << 20


class Image(msgspec.Struct, frozen=True):
    """An existing image. *size_bytes* includes the layers that it shares with other images."""

    id: str
    labels: dict[str, str]
    size_bytes: int
    created_s: int = 0
    """Epoch seconds; a copy on another engine has the same."""

    def is_copy_of(self, other: "Image") -> bool:
        """Whether both are the same build. Engines that keep images in containerd give them other identities."""
        inputs = self.labels.get(LABEL_INPUTS)
        same_build = inputs is not None and inputs == other.labels.get(LABEL_INPUTS)
        return self.id == other.id or (same_build and self.created_s == other.created_s)


def _image_of(seen: Mapping[str, Any]) -> Image:
    return Image(seen["Id"], seen.get("Labels") or {}, seen["Size"], seen.get("Created") or 0)


class ImageStore:
    """The images of one engine."""

    def __init__(self, api: Any, errors: Errors) -> None:
        """Use :attr:`flume.lab.containers.engine.Engine.images` instead."""
        self._api = api
        self._errors = errors

    def find(self, tag: str) -> Image | None:
        """Return the image with the name *tag*; ``None`` if there is none."""
        with self._errors(f"look for image {tag}"):
            found = self._api.images(name=tag)
        return next((_image_of(one) for one in found), None)

    def pull(self, reference: str, *, timeout_s: float) -> None:
        """Pull *reference*. Raises :class:`EngineError` after *timeout_s* without data from the registry."""
        # The SDK's pull() has no timeout, and its import ignores an error inside the answer.
        self._create(f"pull {reference}", {"fromImage": reference}, None, timeout_s=timeout_s)

    def import_archive(self, file: Path, tag: str) -> None:
        """Make an image *tag* of the root file system in the tar archive *file*."""
        repository, _, version = tag.partition(":")
        parameters = {"fromSrc": "-", "repo": repository, "tag": version or "latest"}
        with file.open("rb") as data:
            self._create(f"import {file.name} as {tag}", parameters, data, timeout_s=_BUILD_TIMEOUT_S)

    def _create(self, what: str, parameters: dict[str, str], data: IO[bytes] | None, *, timeout_s: float) -> None:
        """Request the creation of an image, and read the answer to its end."""
        with self._errors(what):
            url = self._api._url("/images/create")  # noqa: SLF001 - see pull()
            response = self._api.post(url, params=parameters, data=data, stream=True, timeout=timeout_s)
            with contextlib.closing(response):
                self._api._raise_for_status(response)  # noqa: SLF001
                for status in self._api._stream_helper(response, decode=True):  # noqa: SLF001
                    if "error" in status:
                        raise EngineError(f"the Docker engine could not {what}: {one_line(status['error'])}")

    def tag(self, source: str, tag: str) -> None:
        """Give the image *source* the additional name *tag*."""
        repository, _, version = tag.partition(":")
        with self._errors(f"tag image {source} as {tag}"):
            self._api.tag(source, repository, version or "latest", force=True)

    def save(self, tags: Sequence[str]) -> Iterator[bytes]:
        """Yield the images *tags* as one archive, in parts, for :meth:`load` on another engine."""
        with self._errors(f"save {', '.join(tags)}"):
            # The SDK's get_image() takes one name.
            url, query = self._api._url("/images/get"), {"names": list(tags)}  # noqa: SLF001
            response = self._api._get(url, params=query, stream=True, timeout=_BUILD_TIMEOUT_S)  # noqa: SLF001
            with contextlib.closing(response):
                self._api._raise_for_status(response)  # noqa: SLF001
                yield from response.iter_content(_PART_BYTES)

    def load(self, parts: Iterable[bytes]) -> None:
        """Take the images of an archive in *parts*. Raises :class:`EngineError`, such as for a full disk."""
        with self._errors("take the images"):
            url = self._api._url("/images/load")  # noqa: SLF001
            response = self._api._post(url, data=parts, stream=True, timeout=_BUILD_TIMEOUT_S)  # noqa: SLF001
            with contextlib.closing(response):
                self._api._raise_for_status(response)  # noqa: SLF001
                for status in self._api._stream_helper(response, decode=True):  # noqa: SLF001
                    if "error" in status:
                        raise EngineError(f"the Docker engine could not take the images: {one_line(status['error'])}")

    def remove(self, *, label: str, prefix: str) -> Removal:
        """Remove all images whose name begins with *prefix*, and those with *label* and without a name.

        What a person's own image or container needs is kept. What an interrupted build left on ours goes too: without
        a name or label it would keep them.
        """
        with self._errors("remove images"):
            plan = plan_removal(
                self._api.images(all=True),
                self._api.containers(all=True),
                labelled=self._api.images(filters={"label": [label]}),
                prefix=prefix,
            )
            for identity in plan.ids:
                self._api.remove_image(identity, force=True)
        return plan

    @contextlib.contextmanager
    def opened(self, tag: str) -> Iterator[Callable[[str], IO[bytes]]]:
        """Yield a function that returns the tar archive of a folder of image *tag*, as a file to read once.

        The engine reads images through containers only, so there is one meanwhile, which never runs.
        """
        with self._errors(f"read image {tag}"):
            container = self._api.create_container(tag, command=["true"])
            try:
                yield lambda folder: archive.stream(self._api.get_archive(container, folder)[0])
            finally:
                self._api.remove_container(container, force=True)

    def prune(self, *, label: str) -> None:
        """Remove images with *label* whose name belongs to a newer build now and that no container uses.

        If another run is pruning at the same time, this call does nothing.
        """
        try:
            with self._errors("remove superseded images"):
                self._api.prune_images(filters={"dangling": True, "label": [label]})
        except EngineError as error:
            if "already running" not in str(error):
                raise

    def build(
        self,
        context: IO[bytes],
        tag: str,
        *,
        target: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> Iterator[str]:
        """Build stage *target* of the Dockerfile in the tar archive *context*; yield the build's lines.

        Raises :class:`EngineError` with the last lines when a step fails.
        """
        last: list[str] = []
        with self._errors(f"build image {tag}"):
            for status in self._api.build(
                fileobj=context,
                custom_context=True,
                tag=tag,
                target=target,
                buildargs=dict(arguments),
                labels=dict(labels),
                rm=True,
                forcerm=True,
                decode=True,
                timeout=int(_BUILD_TIMEOUT_S),
            ):
                if "error" in status:
                    output = " | ".join(last)
                    raise EngineError(f"building {tag} failed: {one_line(status['error'])}; last output: {output}")
                for line in str(status.get("stream", "")).splitlines():
                    if line.strip():
                        last = [*last[-2:], line.strip()]
                        yield line.strip()
